#pragma once

#include "runtime/net.hpp"

#include <vector>

namespace pyrsia {

/// As Env::default_gateways(), from the kernel's main routing table and its neighbour table.
std::vector<Gateway> read_default_gateways();

}  // namespace pyrsia

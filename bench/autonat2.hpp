#pragma once

#include "workloads.hpp"

namespace pyrsia::bench {

/// AutoNAT v2 requests by so many peers at once, each about its one address.
Task<> autonat2(Env& env, Load load);

}  // namespace pyrsia::bench

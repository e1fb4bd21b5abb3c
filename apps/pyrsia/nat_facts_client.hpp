#pragma once

#include "nat/behaviour/report.hpp"

#include <pyrsia/host.hpp>

namespace pyrsia::app {

/// Asks a peer how the NATs in front of it behave. Connects first if need be. Errors: those of
/// Host::open_stream() and of the exchange; `Errc::not_supported`: it does not tell. No time limit
/// of its own.
Task<nat::Report> ask_nat_facts(Host& host, PeerId peer);

}  // namespace pyrsia::app

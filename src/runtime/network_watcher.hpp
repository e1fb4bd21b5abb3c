#pragma once

#include "runtime/env.hpp"
#include "runtime/reactor.hpp"

#include <pyrsia/bytes.hpp>

#include <memory>

namespace pyrsia {

/// Listens to what the kernel tells of links, addresses, routes and router advertisements
/// (rtnetlink(7)). `env` must outlive it. Errors: see Env::watch_network().
Result<std::unique_ptr<NetworkWatcher>> watch_network(Reactor& reactor, Env& env);

/// True if one of the messages of rtnetlink in `bytes` tells of a change that may matter: an
/// address, a link that goes up or down, a unicast route of the main table.
bool tells_of_change(BytesView bytes);

}  // namespace pyrsia

#pragma once

#include "runtime/net.hpp"
#include "runtime/reactor.hpp"

#include <pyrsia/bytes.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace pyrsia {

/// Listens to what the kernel tells of links, addresses and routes (rtnetlink(7)). Errors: see
/// Env::watch_network().
Result<std::unique_ptr<NetworkWatcher>> watch_network(Reactor& reactor,
                                                      const asio::any_io_executor& executor);

/// True if one of the messages of rtnetlink in `bytes` tells of a change that may matter: an
/// address, a link that goes up or down, a unicast route of the main table.
bool tells_of_change(BytesView bytes);

}  // namespace pyrsia

#pragma once

#include "runtime/net.hpp"
#include "runtime/reactor.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace pyrsia {

/// Errors: as Env::udp_bind(). `reactor` must outlive the socket.
Result<std::unique_ptr<UdpSocket>> bind_udp(Reactor& reactor, const asio::any_io_executor& executor,
                                            const Endpoint& local, const UdpOptions& options);

}  // namespace pyrsia

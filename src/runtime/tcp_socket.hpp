#pragma once

#include "runtime/net.hpp"
#include "runtime/reactor.hpp"

#include <pyrsia/task.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace pyrsia {

/// Errors: as Env::tcp_listen(). `reactor` must outlive the listener.
Result<std::unique_ptr<TcpListener>> listen_tcp(Reactor& reactor,
                                                const asio::any_io_executor& executor,
                                                const Endpoint& local,
                                                const TcpListenOptions& options);

/// Errors: as Env::tcp_connect(). `reactor` must outlive the socket.
Task<std::unique_ptr<TcpSocket>> connect_tcp(Reactor& reactor, asio::any_io_executor executor,
                                             Endpoint remote, TcpConnectOptions options);

}  // namespace pyrsia

#pragma once

#include "runtime/env.hpp"
#include "sim/tcp_connection.hpp"

#include <deque>
#include <map>
#include <memory>
#include <string>

namespace pyrsia::sim {

class SimHost;

/// What listens at a port: the queue between the stack and the listener's owner.
struct ListenQueue {
  ListenQueue(Env& env, const Endpoint& at, const TcpListenOptions& o)
      : local(at), options(o), arrived(env.executor()) {}

  Endpoint local;
  TcpListenOptions options;
  std::deque<std::shared_ptr<TcpConnection>> ready;
  bool is_closed = false;
  Event arrived;
};

/// The TCP of one host: who listens, which connections are there. Owned by its host.
class TcpStack {
 public:
  explicit TcpStack(SimHost& host) : host_(host) {}
  TcpStack(const TcpStack&) = delete;
  TcpStack& operator=(const TcpStack&) = delete;
  ~TcpStack();

  Result<std::unique_ptr<TcpListener>> listen(const Endpoint& local,
                                              const TcpListenOptions& options);
  Task<std::unique_ptr<TcpSocket>> connect(Endpoint remote, TcpConnectOptions options);
  void receive(Packet packet);

  /// Ends everything with `Errc::closed`; peers are told, by RST, only if `tells_peers`.
  void close_all(bool tells_peers);
  /// Resets the connections with `ip` at both ends. Returns how many there were.
  std::size_t break_connections(const IpAddress& ip);
  std::size_t connection_count() const { return connections_.size(); }
  std::string describe() const;

  // For connections and sockets.
  Env& env();
  void send(Packet packet);
  void refuse(const Packet& packet) { send(refusal(packet)); }
  std::uint64_t next_connection_id();
  bool operation_fails();
  std::size_t max_read_bytes() const;
  void probe(std::string_view name);
  /// An incoming connection has finished its handshake.
  void accepted(TcpConnection& connection);
  /// The socket is gone: reset the connection, or let it end by itself.
  void release(TcpConnection& connection);
  void erase_if_finished(TcpConnection& connection);
  void close(ListenQueue& queue);
  /// Leads to this stack until close_all(): what is older than a crash must not touch what is
  /// younger.
  std::weak_ptr<TcpStack*> link() const { return link_; }

 private:
  using Pair = std::pair<Endpoint, Endpoint>;  ///< Local, remote.

  void answer(const Packet& syn);
  std::shared_ptr<ListenQueue> listener_for(const Endpoint& local) const;
  bool is_listened(const Endpoint& local) const;
  /// Someone listens there who does not share the port.
  bool is_listened_alone(const Endpoint& local) const;
  bool is_connected_from(const Endpoint& local) const;
  Result<Endpoint> choose_local(const Endpoint& remote, const TcpConnectOptions& options);

  SimHost& host_;
  std::shared_ptr<TcpStack*> link_ = std::make_shared<TcpStack*>(this);
  std::map<Pair, std::shared_ptr<TcpConnection>> connections_;
  std::map<Endpoint, std::shared_ptr<ListenQueue>> listeners_;
};

}  // namespace pyrsia::sim

#include "transport/quic/transport.hpp"

#include "transport/quic/port.hpp"
#include "transport/tcp/source.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::transport::quic {
namespace {

const LogSink kSilence;

Connection connection_of(std::unique_ptr<Session> session, bool is_port_shared) {
  Connection connection{nullptr,
                        session->peer_key(),
                        session->peer_key().peer_id(),
                        Multiaddr::quic_v1(session->local()),
                        Multiaddr::quic_v1(session->remote()),
                        is_port_shared,
                        std::string(kSecurity),
                        std::string(kMuxer)};
  connection.muxer = std::move(session);
  return connection;
}

}  // namespace

/// A connection that was accepted: its handshake is done.
class Transport::Accepted final : public Incoming {
 public:
  explicit Accepted(std::unique_ptr<Session> session)
      : remote_(Multiaddr::quic_v1(session->remote())), session_(std::move(session)) {}

  Multiaddr remote() const override { return remote_; }
  Task<Connection> upgrade() override {
    if (session_->has_ended()) co_return Errc::closed;
    co_return connection_of(std::move(session_), true);
  }

 private:
  Multiaddr remote_;
  std::unique_ptr<Session> session_;
};

class Transport::Accepting final : public Listener {
 public:
  explicit Accepting(std::shared_ptr<Port> port)
      : port_(std::move(port)), address_(Multiaddr::quic_v1(port_->local())) {
    port_->listen();
  }
  ~Accepting() override { close(); }

  Task<std::unique_ptr<Incoming>> accept() override {
    const auto port = port_;  // It may be closed meanwhile, and gone from all others.
    if (!port) co_return Errc::closed;
    PYRSIA_CO_TRY(auto session, co_await port->accept());
    std::unique_ptr<Incoming> accepted = std::make_unique<Accepted>(std::move(session));
    co_return accepted;
  }
  Multiaddr address() const override { return address_; }
  void close() noexcept override {
    if (const auto port = std::exchange(port_, nullptr)) port->stop_listening();
  }

 private:
  std::shared_ptr<Port> port_;  ///< It may have ended before. nullptr: closed.
  Multiaddr address_;
};

Transport::Transport(Env& env, const KeyPair& key, const Config& config, Logger log)
    : Transport(env, key, config, Credentials(key), log) {}

Transport::Transport(Env& env, const KeyPair& key, const Config& config, Credentials credentials,
                     Logger log)
    : shared_(std::make_unique<Shared>(env, key, config, std::move(credentials), log)),
      watching_(env),
      tasks_(env) {}

Transport::Transport(Env& env, const KeyPair& key, const Config& config)
    : Transport(env, key, config, Logger("quic", kSilence)) {}

Transport::~Transport() = default;

bool Transport::can_dial(const Multiaddr& address) const {
  if (!address.is_quic_v1()) return false;
  const auto endpoint = address.endpoint();
  return endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified();
}

Task<Connection> Transport::dial(Multiaddr address, PeerId peer, DialOptions options) {
  if (peer == shared_->self || !can_dial(address)) co_return Errc::invalid_argument;
  const auto remote = *address.endpoint();
  PYRSIA_CO_TRY(const auto port, port_for(remote, options));
  const bool is_shared = port->is_listening();
  auto& metrics = shared_->metrics;
  (is_shared ? metrics.dials_from_listen_port : metrics.dials_from_ephemeral_port).add();
  auto session = Session::dial(*port, remote, std::move(peer));
  if (!session) co_return Errc::limit_reached;
  const auto established = co_await session->wait_established();
  if (!established && options.detail) *options.detail = session->fault();
  if (!established) co_return established.error();
  co_return connection_of(std::move(session), is_shared);
}

Result<std::shared_ptr<Port>> Transport::port_for(const pyrsia::Endpoint& remote,
                                                  const DialOptions& options) {
  if (is_stopping_) return Errc::closed;
  const auto any = remote.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
  if (options.use_new_port) return open_port({any, 0}, true);
  std::vector<pyrsia::Endpoint> listeners;
  bool is_any_specific = false;
  for (const auto& port : ports_) {
    if (!port->is_listening()) continue;
    listeners.push_back(port->local());
    is_any_specific = is_any_specific || !port->local().ip.is_unspecified();
  }
  std::vector<InterfaceAddress> interfaces;
  if (is_any_specific) interfaces = shared_->env.interface_addresses();
  if (const auto source = tcp::dial_source(remote, listeners, interfaces)) {
    const auto has_port = [&](const auto& port) {
      return port->is_listening() && port->local().port == source->port &&
             port->local().ip.is_v6() == remote.ip.is_v6() &&
             (source->ip.is_unspecified() || port->local().ip.is_unspecified() ||
              port->local().ip == source->ip);
    };
    const auto found = std::ranges::find_if(ports_, has_port);
    if (found != ports_.end()) return *found;
  }
  const auto is_usable = [&](const auto& port) {
    return !port->is_listening() && !port->is_for_one_dial() && !port->is_closed() &&
           port->local().ip == any;
  };
  const auto found = std::ranges::find_if(ports_, is_usable);
  if (found != ports_.end()) return *found;
  return open_port({any, 0}, false);
}

Result<std::shared_ptr<Port>> Transport::open_port(const pyrsia::Endpoint& local,
                                                   bool is_for_one_dial) {
  UdpOptions options;
  options.dont_fragment = true;
  options.reads_ecn = true;
  options.receive_buffer_bytes = options.send_buffer_bytes = shared_->config.socket_buffer_bytes;
  PYRSIA_TRY(auto socket, shared_->env.udp_bind(local, options));
  if (!std::exchange(is_watching_, true)) watching_.spawn(watch_network());
  auto port = std::make_shared<Port>(*shared_, std::move(socket), is_for_one_dial);
  ports_.push_back(port);
  tasks_.spawn(serve(*port));
  return port;
}

Task<> Transport::watch_network() {
  auto watcher = shared_->env.watch_network();
  // Without one a connection that moves is found at its next packet.
  if (!watcher) co_return watcher.error();
  for (;;) {
    PYRSIA_CO_TRY(co_await (*watcher)->changed());
    shared_->address_tokens.clear();
    const auto interfaces = shared_->env.interface_addresses();
    for (const auto& port : ports_) port->on_network_change(interfaces);
  }
}

Task<> Transport::serve(Port& port) {
  const auto end = co_await port.serve();
  shared_->closed_ports.add(port.udp_metrics());
  // Whoever still holds a connection of it, ended as it is, holds its port.
  if (!port.has_sessions())
    std::erase_if(ports_, [&port](const auto& each) { return each.get() == &port; });
  co_return end;
}

bool Transport::can_listen(const Multiaddr& address) const {
  return address.is_quic_v1() && address.endpoint();
}

Result<std::unique_ptr<Listener>> Transport::listen(const Multiaddr& address) {
  if (is_stopping_) return Errc::closed;
  if (!can_listen(address)) return Errc::invalid_argument;
  PYRSIA_TRY(auto port, open_port(*address.endpoint(), false));
  return std::unique_ptr<Listener>(std::make_unique<Accepting>(std::move(port)));
}

Task<> Transport::stop() {
  is_stopping_ = true;
  for (const auto& port : ports_) port->close();
  watching_.cancel();
  PYRSIA_CO_TRY(co_await watching_.join());
  co_return co_await tasks_.join();
}

void Transport::set_other_sink(DatagramSink* sink) {
  shared_->other_sink = sink;
}

std::vector<pyrsia::Endpoint> Transport::sockets() const {
  std::vector<pyrsia::Endpoint> out;
  for (const auto& port : ports_)
    if (port->is_listening()) out.push_back(port->local());
  return out;
}

Result<std::shared_ptr<Port>> Transport::listening_port(const pyrsia::Endpoint& local) const {
  const auto is_it = [&](const auto& port) {
    return port->is_listening() && port->local() == local;
  };
  const auto found = std::ranges::find_if(ports_, is_it);
  if (found == ports_.end()) return Errc::not_found;
  return *found;
}

Result<> Transport::send_from(const pyrsia::Endpoint& local, const OutgoingDatagram& datagram) {
  PYRSIA_TRY(const auto port, listening_port(local));
  return port->send(datagram);
}

Result<std::size_t> Transport::send_batch_from(const pyrsia::Endpoint& local,
                                               std::span<const OutgoingDatagram> datagrams) {
  PYRSIA_TRY(const auto port, listening_port(local));
  return port->send_besides(datagrams);
}

const Metrics& Transport::metrics() const {
  return shared_->metrics;
}

UdpMetrics Transport::udp_metrics() const {
  auto sum = shared_->closed_ports;
  for (const auto& port : ports_)
    if (!port->is_closed()) sum.add(port->udp_metrics());
  return sum;
}

std::size_t Transport::half_open_count() const {
  std::size_t count = 0;
  for (const auto& port : ports_) count += port->half_open_count();
  return count;
}

}  // namespace pyrsia::transport::quic

#include "transport/tcp/transport.hpp"

#include "multi/websocket_address.hpp"
#include "runtime/event.hpp"
#include "transport/muxer_negotiation.hpp"
#include "transport/tcp/source.hpp"
#include "transport/ws/stream.hpp"
#include "transport/ws/target.hpp"
#include "wire/multistream.hpp"

#include <algorithm>
#include <cassert>
#include <functional>

namespace pyrsia::transport::tcp {
namespace {

Multiaddr address_of(const Endpoint& endpoint) {
  const Endpoint plain{endpoint.ip.unmapped(), endpoint.port};
  return Multiaddr::tcp(plain);
}

/// Of a GET request, and of a TLS handshake (RFC 8446, 5.1). multistream-select begins with 0x13.
constexpr std::uint8_t kFirstOfHttp = 'G';
constexpr std::uint8_t kFirstOfTls = 0x16;

/// Peers whose security protocol is remembered. Our choice; any of them may be forgotten.
constexpr std::size_t kMaxRemembered = 1024;

const Multiaddr kWebSocket = *Multiaddr::parse("/ws");
const Multiaddr kSecureWebSocket = *Multiaddr::parse("/tls/ws");
const std::vector<std::string> kMuxers{std::string(mux::yamux::kProtocol)};

}  // namespace

/// A connection that was accepted; its handshakes are still to come.
class Transport::Accepted final : public Incoming {
 public:
  Accepted(Transport& transport, Link link, Kinds kinds)
      : transport_(transport), link_(std::move(link)), kinds_(kinds) {}

  Multiaddr remote() const override { return link_.remote; }
  Task<Connection> upgrade() override {
    link_.detail = &detail_;
    return transport_.accept_upgrade(std::move(link_), kinds_);
  }
  std::string detail() const override { return detail_; }

 private:
  Transport& transport_;
  Link link_;
  Kinds kinds_;
  std::string detail_;
};

/// A listener that owns its socket.
class Transport::Accepting final : public Listener {
 public:
  Accepting(Transport& transport, std::unique_ptr<TcpListener> listener, Multiaddr address)
      : transport_(transport), listener_(std::move(listener)), address_(std::move(address)) {
    kinds_.set(std::size_t(kind_of(address_)));
    transport_.listeners_.push_back(this);
  }
  ~Accepting() override { close(); }

  Task<std::unique_ptr<Incoming>> accept() override {
    PYRSIA_CO_TRY(auto socket, co_await listener_->accept());
    auto link = transport_.link_of(std::move(socket), Role::responder);
    std::unique_ptr<Incoming> accepted =
        std::make_unique<Accepted>(transport_, std::move(link), kinds_);
    co_return accepted;
  }
  Multiaddr address() const override { return address_.with_port(local().port); }
  void close() noexcept override;

  Endpoint local() const { return listener_->local(); }
  bool takes(Kind kind) const { return kinds_[std::size_t(kind)]; }
  void share_with(Sharing& sharer, Kind kind) {
    sharers_.push_back(&sharer);
    kinds_.set(std::size_t(kind));
  }
  void end_sharing(const Sharing& sharer, Kind kind) {
    std::erase(sharers_, &sharer);
    kinds_.reset(std::size_t(kind));
  }

 private:
  Transport& transport_;
  std::unique_ptr<TcpListener> listener_;
  const Multiaddr address_;  ///< With the port that was asked for.
  Kinds kinds_;
  std::vector<Sharing*> sharers_;  ///< One for each other kind at most.
};

/// A further listener at an endpoint: what is meant for it comes in through the first.
class Transport::Sharing final : public Listener {
 public:
  Sharing(Env& env, Accepting& owner, Multiaddr address)
      : owner_(&owner), address_(std::move(address)), closed_(env.executor()) {
    owner.share_with(*this, kind_of(address_));
  }
  ~Sharing() override { close(); }

  Task<std::unique_ptr<Incoming>> accept() override {
    while (owner_ != nullptr) PYRSIA_CO_TRY(co_await closed_.wait());
    co_return Errc::closed;
  }
  Multiaddr address() const override { return address_; }
  void close() noexcept override {
    if (owner_ != nullptr) owner_->end_sharing(*this, kind_of(address_));
    owner_ended();
  }
  void owner_ended() noexcept {
    owner_ = nullptr;
    closed_.notify();
  }

 private:
  Accepting* owner_;
  Multiaddr address_;
  Event closed_;
};

void Transport::Accepting::close() noexcept {
  for (auto* sharer : std::exchange(sharers_, {})) sharer->owner_ended();
  std::erase(transport_.listeners_, this);
  listener_->close();
}

Transport::Kind Transport::kind_of(const Multiaddr& address) {
  if (address.is_secure_websocket()) return Kind::secure_websocket;
  return address.is_websocket() ? Kind::websocket : Kind::plain;
}

Transport::Kind Transport::kind_of(std::uint8_t first_byte) {
  if (first_byte == kFirstOfTls) return Kind::secure_websocket;
  return first_byte == kFirstOfHttp ? Kind::websocket : Kind::plain;
}

Transport::Transport(Env& env, const KeyPair& key, const Config& config)
    : env_(env),
      local_peer_(key.peer_id()),
      config_(config),
      noise_(env, key, kMuxers),
      tls_(key, kMuxers),
      web_tls_(env) {
  assert(!config_.securities.empty());
}

Transport::~Transport() {
  assert(listeners_.empty());
}

bool Transport::can_dial(const Multiaddr& address) const {
  if (!address.is_plain_tcp() && !address.is_websocket()) return false;
  const auto endpoint = address.endpoint();
  return endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified();
}

Task<Connection> Transport::dial(Multiaddr address, PeerId peer, DialOptions options) {
  if (peer == local_peer_ || !can_dial(address)) co_return Errc::invalid_argument;
  // One proposal needs no answer to wait for. That it may be refused costs a second dial, once.
  const auto securities = securities_for(peer);
  for (std::size_t i = 0;; ++i) {
    auto connection = co_await dial_once(address, options, securities[i], peer);
    const bool is_refused = !connection && connection.error() == Errc::not_supported;
    if (!is_refused || i + 1 == securities.size()) {
      if (connection && i > 0) remember(peer, securities[i]);
      co_return std::move(connection);
    }
    metrics_.refused_securities.add();
  }
}

Task<Connection> Transport::dial_once(const Multiaddr& address, DialOptions options,
                                      std::string security, const PeerId& peer) {
  if (address.is_websocket()) options.use_new_port = true;
  PYRSIA_CO_TRY(auto socket, co_await connect(*address.endpoint(), options));
  if (options.on_connected) options.on_connected();
  auto link = link_of(std::move(socket), Role::initiator);
  link.detail = options.detail;
  if (address.is_websocket()) {
    auto opening = open_websocket(std::move(link), address.without_peer(), options.host_name);
    PYRSIA_CO_TRY(link, co_await std::move(opening));
  }
  std::vector<std::string> proposal(1, std::move(security));
  std::optional<PeerId> expected(peer);
  co_return co_await upgrade(std::move(link), Role::initiator, std::move(proposal),
                             std::move(expected));
}

std::vector<std::string> Transport::securities_for(const PeerId& peer) const {
  auto securities = config_.securities;
  if (const auto known = securities_of_.find(peer); known != securities_of_.end()) {
    const auto at = std::ranges::find(securities, known->second);
    std::rotate(securities.begin(), at, at + 1);
  }
  return securities;
}

void Transport::remember(const PeerId& peer, const std::string& security) {
  if (securities_of_.size() >= kMaxRemembered) securities_of_.erase(securities_of_.begin());
  securities_of_.insert_or_assign(peer, security);
}

Task<std::unique_ptr<TcpSocket>> Transport::connect(Endpoint remote, DialOptions options) {
  const auto source = options.use_new_port ? std::nullopt : source_for(remote);
  auto socket = co_await connect_from(remote, source);
  if (source && !socket) {
    // Either the same two endpoints are connected already, or that source IP leads nowhere. A
    // closed port or a silent host is the same from everywhere.
    const auto error = socket.error();
    const bool is_by_source = error == Errc::address_in_use || error == Errc::invalid_argument ||
                              error == Errc::permission_denied || error == Errc::network_failed ||
                              (error == Errc::unreachable && !source->ip.is_unspecified());
    if (!is_by_source) co_return error;
    metrics_.port_conflicts.add();
    socket = co_await connect_from(remote, std::nullopt);
  }
  co_return std::move(socket);
}

Task<std::unique_ptr<TcpSocket>> Transport::connect_from(Endpoint remote,
                                                         std::optional<Endpoint> local) {
  TcpConnectOptions options;
  options.local = local;
  PYRSIA_CO_TRY(auto socket, co_await env_.tcp_connect(remote, options));
  // Linux connects a socket to itself if source and destination are the same.
  if (socket->local() == socket->remote()) co_return Errc::wrong_peer;
  co_return std::move(socket);
}

std::optional<Endpoint> Transport::source_for(const Endpoint& remote) {
  std::vector<Endpoint> endpoints;
  bool is_any_specific = false;
  for (const auto* listener : listeners_) {
    if (!listener->takes(Kind::plain)) continue;
    endpoints.push_back(listener->local());
    is_any_specific = is_any_specific || !endpoints.back().ip.is_unspecified();
  }
  // Listing the interfaces costs system calls: only where it can make a difference.
  std::vector<InterfaceAddress> interfaces;
  if (is_any_specific) interfaces = env_.interface_addresses();
  return dial_source(remote, endpoints, interfaces);
}

bool Transport::is_listen_port(const Endpoint& local) const {
  return std::ranges::any_of(listeners_, [&](const Accepting* listener) {
    const auto own = listener->local();
    return own.port == local.port && own.ip.is_v6() == local.ip.is_v6() &&
           (own.ip.is_unspecified() || own.ip == local.ip);
  });
}

bool Transport::can_listen(const Multiaddr& address) const {
  if (!address.endpoint()) return false;
  if (address.is_plain_tcp()) return true;
  if (!address.is_websocket() || address.has(Protocol::http_path)) return false;
  return !address.is_secure_websocket() || web_tls_.has_certificate();
}

Result<std::unique_ptr<Listener>> Transport::listen(const Multiaddr& address) {
  if (!can_listen(address)) return Errc::invalid_argument;
  const auto endpoint = *address.endpoint();
  auto spelled = multi::with_tls_spelled_out(address.without_peer());
  const auto known = std::ranges::find(listeners_, endpoint, &Accepting::local);
  if (known != listeners_.end()) {
    if ((*known)->takes(kind_of(spelled))) return Errc::address_in_use;
    return std::unique_ptr<Listener>(std::make_unique<Sharing>(env_, **known, std::move(spelled)));
  }
  PYRSIA_TRY(auto listener, env_.tcp_listen(endpoint, TcpListenOptions()));
  return std::unique_ptr<Listener>(
      std::make_unique<Accepting>(*this, std::move(listener), std::move(spelled)));
}

Transport::Link Transport::link_of(std::unique_ptr<TcpSocket> socket, Role role) {
  auto local = address_of(socket->local());
  auto remote = address_of(socket->remote());
  const bool is_shared = role == Role::responder || is_listen_port(socket->local());
  if (role == Role::initiator)
    (is_shared ? metrics_.dials_from_listen_port : metrics_.dials_from_ephemeral_port).add();
  auto stream = std::make_unique<wire::BufferedStream>(std::move(socket));
  return {std::move(stream), std::move(local), std::move(remote), is_shared};
}

Task<Transport::Link> Transport::open_websocket(Link link, Multiaddr address,
                                                std::string host_name) {
  auto target = ws::target_of(address, host_name);
  if (address.is_secure_websocket()) {
    metrics_.web_tls_handshakes.add();
    auto secured =
        co_await web_tls_.connect(std::move(link.stream), target.server_name, link.detail);
    if (!secured) metrics_.web_tls_failed.add();
    if (!secured) co_return secured.error();
    link.stream = std::make_unique<wire::BufferedStream>(*std::move(secured));
  }
  PYRSIA_CO_TRY(auto socket, co_await ws::connect(env_, std::move(link.stream),
                                                  std::move(target.host), std::move(target.path)));
  link.stream = std::make_unique<wire::BufferedStream>(std::move(socket));
  link.remote = std::move(address);
  co_return std::move(link);
}

Task<Transport::Link> Transport::accept_kind(Link link, Kinds kinds) {
  if (kinds == Kinds(1U << unsigned(Kind::plain))) co_return std::move(link);
  PYRSIA_CO_TRY(const auto bytes, co_await link.stream->peek(0));
  const auto kind = kind_of(bytes.front());
  if (!kinds[std::size_t(kind)]) {
    if (kind == Kind::secure_websocket && link.detail) *link.detail = "TLS, without a certificate";
    co_return Errc::not_supported;
  }
  if (kind == Kind::plain) co_return std::move(link);
  const bool is_secure = kind == Kind::secure_websocket;
  if (is_secure) {
    PYRSIA_CO_TRY(link, co_await accept_web_tls(std::move(link)));
  }
  PYRSIA_CO_TRY(auto socket, co_await ws::accept(env_, std::move(link.stream)));
  link.stream = std::make_unique<wire::BufferedStream>(std::move(socket));
  link.remote = link.remote + (is_secure ? kSecureWebSocket : kWebSocket);
  link.local = link.local + (is_secure ? kSecureWebSocket : kWebSocket);
  co_return std::move(link);
}

Task<Transport::Link> Transport::accept_web_tls(Link link) {
  metrics_.web_tls_handshakes.add();
  auto secured = co_await web_tls_.accept(std::move(link.stream), link.detail);
  if (!secured) metrics_.web_tls_failed.add();
  if (!secured) co_return secured.error();
  link.stream = std::make_unique<wire::BufferedStream>(*std::move(secured));
  co_return std::move(link);
}

Task<Connection> Transport::accept_upgrade(Link link, Kinds kinds) {
  PYRSIA_CO_TRY(link, co_await accept_kind(std::move(link), kinds));
  auto securities = config_.securities;
  co_return co_await upgrade(std::move(link), Role::responder, std::move(securities), std::nullopt);
}

Task<secure::Secured> Transport::secure(std::unique_ptr<Stream> stream, Role role,
                                        std::string security, std::optional<PeerId> expected,
                                        std::string* detail) {
  if (security == secure::tls::kProtocol) {
    auto session = tls_.session(role, env_.wall_now(), std::move(expected));
    return secure::tls::handshake(std::move(stream), std::move(session), tls_, detail);
  }
  return secure::noise::handshake(env_, std::move(stream), role, noise_, std::move(expected));
}

Task<Connection> Transport::upgrade(Link link, Role role, std::vector<std::string> securities,
                                    std::optional<PeerId> expected) {
  auto& kept = *link.stream;  // The channel's, in the end.
  std::unique_ptr<Stream> stream = std::move(link.stream);
  auto security = securities.front();
  if (role == Role::initiator) {
    // The proposal travels with the first handshake message.
    stream = wire::propose_lazily(std::move(stream), security);
  } else {
    // Our answer to the proposal leaves with our handshake message, if the peer's is there.
    kept.hold_writes();
    std::function<bool(std::string_view)> is_ours = [&securities, &kept](std::string_view name) {
      const bool is_found = std::ranges::find(securities, name) != securities.end();
      if (!is_found) kept.end_holding();  // A refusal leaves at once: garbage may follow.
      return is_found;
    };
    PYRSIA_CO_TRY(security, co_await wire::answer(*stream, std::move(is_ours), securities));
  }
  auto handshake = secure(std::move(stream), role, security, std::move(expected), link.detail);
  PYRSIA_CO_TRY(auto secured, co_await std::move(handshake));
  if (secured.peer == local_peer_) co_return Errc::wrong_peer;
  PYRSIA_CO_TRY(co_await kept.release_writes());

  const std::string muxer(mux::yamux::kProtocol);
  if (secured.muxer.empty()) {
    auto agreed = co_await agree_on_muxer(std::move(secured.channel), role, muxer);
    if (!agreed) co_return agreed.error();
    secured.channel = *std::move(agreed);
  }
  auto session = mux::yamux::make_session(env_, std::move(secured.channel), role, config_.yamux,
                                          metrics_.yamux);
  Connection connection{std::move(session),      std::move(secured.peer_key),
                        std::move(secured.peer), std::move(link.local),
                        std::move(link.remote),  link.is_shared,
                        std::move(security),     muxer};
  co_return connection;
}

}  // namespace pyrsia::transport::tcp

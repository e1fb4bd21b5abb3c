#include "nat/stun/server.hpp"

#include "nat/stun/builder.hpp"
#include "nat/stun/numbers.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pyrsia::stun {
namespace {

constexpr Duration kPauseAfterError = std::chrono::milliseconds(20);
/// What waits in the kernel while we answer; beyond it the oldest are lost.
constexpr std::size_t kSocketBufferBytes = std::size_t(4) << 20;
constexpr std::size_t kMaxBatch = kMaxUdpBatch;
constexpr Duration kRefusalPause = std::chrono::minutes(1);
/// A member is asked to lend so often before it is taken not to.
constexpr int kLendTries = 3;
constexpr Duration kLendWait = std::chrono::milliseconds(500);

}  // namespace

std::string_view in_words(Standing standing) {
  switch (standing) {
    using enum Standing;
    case unknown: return "it was not asked yet";
    case lends: return "it does";
    case silent: return "it does not answer STUN on each of our ports";
    case not_lending:
      return "it sends nothing for us: it has to name us by --stun-member, at the address that it "
             "sees us at, and the clocks must agree";
    case ours: return "its address is our own, so it is no second one";
    case one_port: return "we listen at one port, and two are needed: --stun-listen";
    case other_family: return "we listen at no UDP address of its family: --stun-listen";
  }
  return "unknown";
}

/// The responses to one batch, in one piece of memory; they leave in one call.
class Server::Outbox {
 public:
  explicit Outbox(ServerMetrics& metrics) : metrics_(metrics) { datagrams_.reserve(kMaxBatch); }

  /// Room for one more response. Sends what is there first, if there is none.
  std::span<std::uint8_t> room(UdpSocket& socket) {
    if (buffer_.size() - used_ < kMaxMessageBytes || datagrams_.size() == kMaxBatch) flush(socket);
    return std::span(buffer_).subspan(used_, kMaxMessageBytes);
  }
  /// The response that was written into room().
  void add(const Endpoint& to, std::optional<IpAddress> from, std::size_t size) {
    OutgoingDatagram datagram;
    datagram.to = to;
    datagram.from = from;
    datagram.bytes = BytesView(buffer_).subspan(used_, size);
    datagrams_.push_back(datagram);
    used_ += size;
  }
  void flush(UdpSocket& socket) {
    auto rest = std::span<const OutgoingDatagram>(datagrams_);
    while (!rest.empty()) {
      const auto sent = socket.send_batch(rest);
      // One that cannot be sent is lost; so are all if the socket takes no more for now.
      const std::size_t count = !sent ? 1 : *sent;
      if (!sent) metrics_.unsent.add();
      if (count == 0) metrics_.unsent.add(rest.size());
      if (count == 0) break;
      rest = rest.subspan(count);
    }
    datagrams_.clear();
    used_ = 0;
  }

 private:
  ServerMetrics& metrics_;
  std::array<std::uint8_t, kMaxMessageBytes * 8> buffer_{};
  std::size_t used_ = 0;
  std::vector<OutgoingDatagram> datagrams_;
};

Server::Server(Env& env, ServerConfig config, Logger log)
    : env_(env),
      config_(std::move(config)),
      log_(log),
      outbox_(std::make_unique<Outbox>(metrics_)),
      tasks_(env) {
  std::array<std::uint8_t, 8> secret{};
  env_.random(secret);
  for (const auto byte : secret) secret_ = secret_ << 8 | byte;
  handshake_limiter_.emplace(config_.handshakes, secret_);
}

Server::~Server() = default;

std::vector<Endpoint> Server::as_seen(const std::vector<Endpoint>& endpoints) const {
  auto seen = endpoints;
  for (auto& endpoint : seen)
    if (config_.external_v4 && endpoint.ip.is_v4()) endpoint.ip = *config_.external_v4;
  return seen;
}

Result<> Server::bind_all(std::string* detail) {
  UdpOptions options;
  options.receive_buffer_bytes = options.send_buffer_bytes = kSocketBufferBytes;
  options.batch_size = kMaxBatch;
  for (const auto& endpoint : config_.udp) {
    auto socket = env_.udp_bind(endpoint, options);
    if (!socket && is_passed_over(endpoint, socket.error())) continue;
    if (!socket && detail) *detail = "UDP " + endpoint.to_string();
    if (!socket) return socket.error();
    udp_.push_back(*std::move(socket));
  }
  PYRSIA_TRY(listen(config_.tcp, false, detail));
  return listen(config_.tls, true, detail);
}

bool Server::is_passed_over(const Endpoint& endpoint, const Error& error) const {
  return config_.is_v6_optional && endpoint.ip == IpAddress::v6_any() && error == Errc::unreachable;
}

Result<> Server::listen(const std::vector<Endpoint>& endpoints, bool is_tls, std::string* detail) {
  TcpListenOptions options;
  options.is_port_shared = false;
  for (const auto& endpoint : endpoints) {
    auto listener = env_.tcp_listen(endpoint, options);
    if (!listener && is_passed_over(endpoint, listener.error())) continue;
    if (!listener && detail) *detail = (is_tls ? "TLS " : "TCP ") + endpoint.to_string();
    if (!listener) return listener.error();
    tcp_.push_back({*std::move(listener), is_tls});
  }
  return ok;
}

Result<> Server::start(std::string* detail) {
  if (auto bound = bind_all(detail); !bound) {
    udp_.clear();
    tcp_.clear();
    return bound;
  }
  udp_responder_ =
      std::make_unique<Responder>(config_.responder, as_seen(udp_endpoints()), secret_);
  const std::vector<Endpoint> one_unknown(1);
  plain_responder_ = std::make_unique<Responder>(config_.responder, one_unknown, secret_);
  auto of_streams = config_.responder;
  of_streams.is_stream = true;
  tcp_responder_ = std::make_unique<Responder>(of_streams, as_seen(tcp_endpoints()), secret_);
  for (std::size_t i = 0; i < udp_.size(); ++i) tasks_.spawn(serve_udp(i));
  for (std::size_t i = 0; i < tcp_.size(); ++i) tasks_.spawn(accept(i));
  if (config_.key) begin_lending();
  return ok;
}

/// Without members as well: who asks us all the same is counted and told of.
void Server::begin_lending() {
  const auto self = config_.key->peer_id();
  std::erase_if(config_.members, [&](const Member& member) { return member.peer == self; });
  std::vector<Lender::Member> members;
  for (const auto& member : config_.members) members.push_back({member.endpoint.ip, member.peer});
  lender_ = std::make_unique<Lender>(self, std::move(members), config_.lender, secret_);
  standings_.assign(config_.members.size(), Standing::unknown);
  for (std::size_t i = 0; i < config_.members.size(); ++i) tasks_.spawn(watch_member(i));
}

Task<> Server::stop() {
  tasks_.cancel();
  for (const auto& each : tcp_) each.listener->close();
  for (const auto& socket : udp_) socket->close();
  (void)co_await tasks_.join();
  for (const auto& client : member_clients_) (void)co_await client->stop();
  member_clients_.clear();
  tcp_.clear();
  udp_.clear();
  co_return ok;
}

std::vector<Endpoint> Server::udp_endpoints() const {
  std::vector<Endpoint> endpoints;
  for (const auto& socket : udp_) endpoints.push_back(socket->local());
  return endpoints;
}

std::vector<Endpoint> Server::tcp_endpoints() const {
  return listening(false);
}

std::vector<Endpoint> Server::tls_endpoints() const {
  return listening(true);
}

std::vector<Endpoint> Server::listening(bool is_tls) const {
  std::vector<Endpoint> endpoints;
  for (const auto& each : tcp_)
    if (each.is_tls == is_tls) endpoints.push_back(each.listener->local());
  return endpoints;
}

std::optional<Endpoint> Server::other_address() const {
  if (udp_.empty()) return std::nullopt;
  return udp_responder_->other_address(0);
}

Task<> Server::serve_udp(std::size_t index) {
  auto& socket = *udp_[index];
  for (;;) {
    const auto batch = co_await socket.receive_batch();
    if (batch) {
      answer_batch(index, *batch);
    } else if (batch.error() == Errc::closed || batch.error() == Errc::cancelled) {
      co_return batch.error();
    } else {
      PYRSIA_CO_TRY(co_await env_.sleep_for(kPauseAfterError));
    }
  }
}

void Server::answer_batch(std::size_t index, std::span<const ReceivedDatagram> batch) {
  const auto now = env_.now();
  auto& socket = *udp_[index];
  const bool has_many_addresses = socket.local().ip.is_unspecified();
  for (const auto& datagram : batch) {
    const auto out = outbox_->room(socket);
    if (is_lend(datagram.bytes)) {
      take_lend(index, datagram, out);
      continue;
    }
    const Request request{datagram.bytes, datagram.from, index, datagram.to};
    const auto answer = udp_responder_->answer(request, now, out);
    if (answer.lend) borrow(index, *answer.lend);
    if (answer.size == 0) continue;
    std::optional<IpAddress> asked;
    if (has_many_addresses) asked = datagram.to;
    if (answer.socket == index) {
      outbox_->add(answer.to, asked, answer.size);
    } else {
      // Another port of all addresses: only the port was to change.
      auto& other = *udp_[answer.socket];
      if (!other.local().ip.is_unspecified()) asked.reset();
      send_now(other, answer.to, out.first(answer.size), asked);
    }
  }
  outbox_->flush(socket);
}

void Server::answer_on(UdpSocket& socket, const ReceivedDatagram& datagram) {
  const auto out = outbox_->room(socket);
  const auto answer = plain_responder_->answer({datagram.bytes, datagram.from, 0}, env_.now(), out);
  std::optional<IpAddress> asked;
  if (socket.local().ip.is_unspecified()) asked = datagram.to;
  if (answer.size > 0) outbox_->add(answer.to, asked, answer.size);
}

void Server::flush(UdpSocket& socket) {
  outbox_->flush(socket);
}

void Server::send_now(UdpSocket& socket, const Endpoint& to, BytesView bytes,
                      std::optional<IpAddress> from) {
  OutgoingDatagram datagram;
  datagram.to = to;
  datagram.from = from;
  datagram.bytes = bytes;
  const auto sent = socket.send_batch(std::span(&datagram, 1));
  if (!sent || *sent == 0) metrics_.unsent.add();
}

bool Server::is_lend(BytesView bytes) const {
  return lender_ && bytes.size() >= kHeaderBytes &&
         read_u16(bytes.data()) == type_field(MessageClass::indication, Method::lend);
}

void Server::take_lend(std::size_t index, const ReceivedDatagram& datagram,
                       std::span<std::uint8_t> out) {
  const auto& from = datagram.from.ip;
  const auto message = Message::parse(datagram.bytes);
  const auto decision = message ? lender_->take(*message, from, env_.now(), env_.wall_now())
                                : lender_->refuse(Refusal::malformed);
  if (!decision.lend) return tell_refusal(decision.refusal, from);
  const auto answer = udp_responder_->answer_for(*decision.lend, index, datagram.to, out);
  if (answer.size == 0) return tell_refusal(lender_->refuse(Refusal::no_port).refusal, from);
  // It leaves from the address of ours that the member knows, and tells its clients.
  auto& socket = *udp_[answer.socket];
  std::optional<IpAddress> own;
  if (socket.local().ip.is_unspecified()) own = datagram.to;
  send_now(socket, answer.to, out.first(answer.size), own);
}

/// Anybody can have us refuse something: a line a minute for each reason.
void Server::tell_refusal(Refusal refusal, const IpAddress& from) {
  auto& told = refusals_told_[static_cast<std::size_t>(refusal)];
  const auto now = env_.now();
  if (told && now - *told < kRefusalPause) return;
  told = now;
  const auto source = from.to_string();
  log_.warning("a lend is refused; more of this kind are only counted for a minute",
               {{"from", source}, {"why", in_words(refusal)}});
}

void Server::borrow(std::size_t index, const Lend& lend) {
  const auto* member = lending_member(lend.client.ip.is_v6());
  if (member != nullptr) send_lend(index, *member, lend);
}

void Server::send_lend(std::size_t index, const Member& member, const Lend& lend) {
  const LendMessage message{lend, config_.key->peer_id(), member.peer,
                            env_.wall_now() + config_.lend_lifetime, random_transaction(env_)};
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto bytes = encode_lend(message, *config_.key, out);
  if (bytes) send_now(*udp_[index], member.endpoint, *bytes, std::nullopt);
}

Task<> Server::watch_member(std::size_t member) {
  for (;;) {
    PYRSIA_CO_TRY(const auto standing, co_await standing_of(config_.members[member]));
    set_standing(member, standing);
    PYRSIA_CO_TRY(co_await env_.sleep_for(config_.member_check_interval));
  }
}

Task<Standing> Server::standing_of(Member member) {
  const auto socket = socket_towards(member.endpoint.ip);
  if (!socket) co_return Standing::other_family;
  if (is_ours(member.endpoint.ip)) co_return Standing::ours;
  const auto ports = ports_of(udp_[*socket]->local().ip);
  if (ports.size() < 2) co_return Standing::one_port;
  for (const auto port : ports) {
    PYRSIA_CO_TRY(const auto standing, co_await try_lend(member, *socket, port));
    if (standing != Standing::lends) co_return standing;
  }
  co_return Standing::lends;
}

// That it answers for itself is not enough: if it does not know us, or sees us at another address,
// or has another time, it would keep silent, and clients would take that for their filter.
Task<Standing> Server::try_lend(Member member, std::size_t socket, std::uint16_t port) {
  const auto client = member_client(socket);
  if (!client) co_return Standing::silent;
  Query query;
  query.server = {member.endpoint.ip, port};
  query.plan = RetransmitPlan::quick();
  const auto answer = co_await (*client)->ask(query);
  if (!answer && answer.error() == Errc::cancelled) co_return answer.error();
  if (!answer || answer->error) co_return Standing::silent;
  // Behind the same NAT.
  if (answer->mapped.ip == member.endpoint.ip) co_return Standing::ours;
  for (int i = 0; i < kLendTries; ++i) {
    Lend lend;
    lend.client = answer->mapped;
    lend.transaction = random_transaction(env_);
    lend.source_port = port;
    lend.has_fingerprint = true;
    auto hearing = (*client)->hears(lend.transaction);
    send_lend(socket, member, lend);
    const auto heard = co_await with_timeout(env_, kLendWait, std::move(hearing));
    if (heard && *heard == query.server) co_return Standing::lends;
    if (!heard && heard.error() != Errc::timed_out) co_return heard.error();
  }
  co_return Standing::not_lending;
}

std::optional<std::size_t> Server::socket_towards(const IpAddress& ip) const {
  for (std::size_t i = 0; i < udp_.size(); ++i)
    if (udp_[i]->local().ip.is_v6() == ip.is_v6()) return i;
  return std::nullopt;
}

std::set<std::uint16_t> Server::ports_of(const IpAddress& own) const {
  std::set<std::uint16_t> ports;
  for (const auto& socket : udp_)
    if (socket->local().ip == own) ports.insert(socket->local().port);
  return ports;
}

bool Server::is_ours(const IpAddress& ip) {
  if (ip == config_.external_v4) return true;
  const auto has_it = [&](const auto& socket) { return socket->local().ip == ip; };
  const auto has_all = [&](const auto& socket) {
    const auto& own = socket->local().ip;
    return own.is_unspecified() && own.is_v6() == ip.is_v6();
  };
  if (std::ranges::any_of(udp_, has_it)) return true;
  if (std::ranges::none_of(udp_, has_all)) return false;
  const auto addresses = env_.interface_addresses();
  return std::ranges::find(addresses, ip, &InterfaceAddress::ip) != addresses.end();
}

Result<Client*> Server::member_client(std::size_t socket) {
  const auto& own = udp_[socket]->local().ip;
  for (const auto& client : member_clients_)
    if (client->local().ip == own) return client.get();
  const Endpoint local{own, 0};
  PYRSIA_TRY(auto client, Client::bind(env_, local, &member_metrics_));
  return member_clients_.emplace_back(std::move(client)).get();
}

void Server::set_standing(std::size_t member, Standing standing) {
  const auto before = std::exchange(standings_[member], standing);
  if (before == standing) return;
  const auto peer = config_.members[member].peer.to_string();
  const auto at = config_.members[member].endpoint.to_string();
  const bool is_lending = standing == Standing::lends;
  if (is_lending) log_.info("a member lends us its address", {{"member", peer}, {"at", at}});
  if (!is_lending)
    log_.warning("a member does not lend us its address",
                 {{"member", peer}, {"at", at}, {"why", in_words(standing)}});
  if (before == Standing::lends) metrics_.members_lost.add();
  const auto ip_of = [](const Member* lending) {
    return lending == nullptr ? std::nullopt : std::optional(lending->endpoint.ip);
  };
  for (auto* responder : {udp_responder_.get(), tcp_responder_.get()})
    responder->set_members(ip_of(lending_member(false)), ip_of(lending_member(true)));
}

/// The first of this family that lends.
const Member* Server::lending_member(bool is_v6) const {
  for (std::size_t i = 0; i < standings_.size(); ++i) {
    const auto& member = config_.members[i];
    if (standings_[i] == Standing::lends && member.endpoint.ip.is_v6() == is_v6) return &member;
  }
  return nullptr;
}

Task<> Server::accept(std::size_t index) {
  for (;;) {
    auto connection = co_await tcp_[index].listener->accept();
    if (!connection) {
      if (connection.error() == Errc::closed || connection.error() == Errc::cancelled)
        co_return connection.error();
      PYRSIA_CO_TRY(co_await env_.sleep_for(kPauseAfterError));
      continue;
    }
    const bool is_tls = tcp_[index].is_tls;
    if (!may_connect((*connection)->remote().ip, is_tls)) continue;
    metrics_.connections.add();
    tasks_.spawn(serve_tcp(*std::move(connection), index));
  }
}

bool Server::may_connect(const IpAddress& source, bool is_tls) {
  if (connection_count_ >= config_.max_tcp_connections ||
      connections_.of(source) >= config_.max_tcp_connections_of_source) {
    metrics_.connections_refused.add();
    return false;
  }
  if (is_tls && !handshake_limiter_->allow(source, 1, env_.now())) {
    metrics_.handshakes_refused.add();
    return false;
  }
  return true;
}

Task<> Server::serve_tcp(std::unique_ptr<TcpSocket> connection, std::size_t index) {
  /// Holds the place of a connection among those of its source.
  struct Place {
    Place(Server& owner, const IpAddress& ip) : server(owner), source(ip) {
      server.connections_.add(source);
      ++server.connection_count_;
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      server.connections_.remove(source);
      --server.connection_count_;
    }
    Server& server;
    IpAddress source;
  };
  const Place place(*this, connection->remote().ip);
  const auto remote = connection->remote();
  if (tcp_[index].is_tls) {
    const Caller caller{*plain_responder_, remote, 0, {}};
    auto serving = secure_and_serve(std::move(connection), caller);
    co_return co_await with_timeout(env_, config_.tcp_lifetime, std::move(serving));
  }
  // The plain listeners come first, as in the responder.
  const Caller caller{*tcp_responder_, remote, index, connection->local().ip};
  auto serving = serve_stream(*connection, caller);
  co_return co_await with_timeout(env_, config_.tcp_lifetime, std::move(serving));
}

Task<> Server::secure_and_serve(std::unique_ptr<TcpSocket> connection, Caller caller) {
  if (!config_.secure) co_return Errc::not_supported;
  auto securing = config_.secure(std::move(connection));
  auto stream = co_await with_timeout(env_, config_.tls_timeout, std::move(securing));
  if (!stream) {
    metrics_.handshakes_failed.add();
    co_return stream.error();
  }
  const auto served = co_await serve_stream(**stream, caller);
  if (!served) co_return served;
  co_return co_await with_timeout(env_, config_.tls_timeout, (*stream)->close_write());
}

Task<> Server::serve_stream(Stream& stream, Caller caller) {
  for (int i = 0; i < config_.max_tcp_requests; ++i) {
    auto answering = answer_stream(stream, caller);
    PYRSIA_CO_TRY(co_await with_timeout(env_, config_.tcp_idle_timeout, std::move(answering)));
  }
  co_return ok;
}

Task<> Server::answer_stream(Stream& stream, Caller caller) {
  std::array<std::uint8_t, kMaxMessageBytes> request{};
  const auto header = std::span(request).first<kHeaderBytes>();
  PYRSIA_CO_TRY(co_await read_exactly(stream, header));
  PYRSIA_CO_TRY(const auto size, message_size(header));
  const auto body = std::span(request).subspan(kHeaderBytes, size - kHeaderBytes);
  PYRSIA_CO_TRY(co_await read_exactly(stream, body));
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const Request asked{BytesView(request).first(size), caller.from, caller.socket, caller.to};
  const auto answer = caller.responder.answer(asked, env_.now(), out);
  if (answer.size == 0) co_return Errc::protocol_violation;
  co_return co_await stream.write_all(BytesView(out).first(answer.size));
}

std::map<std::string, std::uint64_t> Server::counters() const {
  std::map<std::string, std::uint64_t> out;
  const auto add = [&](const std::string& name, const Counter& counter) {
    out["pyrsia_stun_" + name + "_total"] += counter.value();
  };
  for (const auto* responder :
       {udp_responder_.get(), tcp_responder_.get(), plain_responder_.get()}) {
    if (responder == nullptr) continue;
    const auto& metrics = responder->metrics();
    add("requests", metrics.requests);
    add("answered", metrics.answered);
    add("refused", metrics.refused);
    add("limited", metrics.limited);
    add("malformed", metrics.malformed);
    add("ignored", metrics.ignored);
    add("legacy", metrics.legacy);
    add("lent", metrics.lent);
    add("not_lent", metrics.not_lent);
    add("lends_over", metrics.lends_over);
    add("answered_lends", metrics.answered_lends);
  }
  add("unsent", metrics_.unsent);
  add("connections", metrics_.connections);
  add("connections_refused", metrics_.connections_refused);
  add("handshakes_failed", metrics_.handshakes_failed);
  add("handshakes_refused", metrics_.handshakes_refused);
  add("members_lost", metrics_.members_lost);
  add("member_checks_sent", member_metrics_.sent);
  add("member_checks_received", member_metrics_.received);
  add("member_checks_malformed", member_metrics_.malformed);
  add("member_checks_unmatched", member_metrics_.unmatched);
  add("member_checks_wrong_source", member_metrics_.wrong_source);
  add_lending(out);
  return out;
}

void Server::add_lending(std::map<std::string, std::uint64_t>& out) const {
  if (!lender_) return;
  const auto add = [&](const std::string& name, const Counter& counter) {
    out["pyrsia_stun_lends_" + name + "_total"] = counter.value();
  };
  const auto& metrics = lender_->metrics();
  add("accepted", metrics.accepted);
  add("of_strangers", metrics.stranger);
  add("limited", metrics.limited);
  add("forged", metrics.forged);
  add("expired", metrics.expired);
  add("replayed", metrics.replayed);
  add("unreachable", metrics.unreachable);
  add("no_port", metrics.no_port);
  add("malformed", metrics.malformed);
  constexpr std::array<std::string_view, kStandingCount> kNames{
      "unknown", "lending", "silent", "not_lending", "ours", "one_port", "other_family"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const auto count = std::ranges::count(standings_, static_cast<Standing>(i));
    out["pyrsia_stun_members_" + std::string(kNames[i])] = static_cast<std::uint64_t>(count);
  }
}

}  // namespace pyrsia::stun

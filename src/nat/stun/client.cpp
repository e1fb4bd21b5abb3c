#include "nat/stun/client.hpp"

#include "base/printable.hpp"
#include "nat/stun/builder.hpp"
#include "nat/stun/moves.hpp"
#include "nat/stun/named_address.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::stun {
namespace {

constexpr std::size_t kMaxReasonBytes = 128;

/// Of those that a response may not hold unless we know them.
bool is_known(AttributeType type) {
  switch (type) {
    using enum AttributeType;
    case mapped_address:
    case response_address:
    case change_request:
    case source_address:
    case changed_address:
    case username:
    case message_integrity:
    case error_code:
    case unknown_attributes:
    case realm:
    case nonce:
    case message_integrity_sha256:
    case password_algorithm:
    case userhash:
    case xor_mapped_address:
    case padding:
    case response_port: return true;
    default: return false;
  }
}

/// Spec: RFC 8489, 6.3.3 and 6.3.4.
Result<> check_understood(const Message& message) {
  auto walk = message.attributes();
  for (Attribute attribute; walk.next(attribute);)
    if (must_be_understood(attribute.type) && !is_known(attribute.type)) return Errc::not_supported;
  return ok;
}

}  // namespace

/// One request that waits. Lives in the coroutine that waits for it.
struct Client::Pending {
  Pending(Client& owner, const TransactionId& id)
      : client(owner), transaction(id), arrived(owner.env_.executor()) {
    client.pending_.emplace(id, this);
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() { client.pending_.erase(transaction); }

  /// May `from` answer?
  bool accepts(const Endpoint& from) const {
    if (is_any_source) return true;
    return server && (from == *server || change.ip || (change.port && from.ip == server->ip));
  }

  Client& client;
  TransactionId transaction;
  std::optional<Endpoint> server;
  ChangeRequest change;
  bool is_any_source = false;  ///< A request of ours that comes back counts as well.
  std::optional<Result<Response>> answer;
  Event arrived;
};

Result<std::unique_ptr<Client>> Client::bind(Env& env, const Endpoint& local) {
  return bind(env, local, nullptr);
}

Result<std::unique_ptr<Client>> Client::bind(Env& env, const Endpoint& local,
                                             ClientMetrics* metrics) {
  PYRSIA_TRY(auto socket, env.udp_bind(local));
  return std::make_unique<Client>(env, std::move(socket), metrics);
}

Client::Client(Env& env, std::unique_ptr<UdpSocket> socket, ClientMetrics* metrics)
    : env_(env),
      socket_(std::move(socket)),
      metrics_(metrics != nullptr ? *metrics : own_metrics_),
      tasks_(env) {
  tasks_.spawn(receive());
}

Task<> Client::stop() {
  is_stopped_ = true;
  for (const auto& [transaction, pending] : pending_) {
    if (!pending->answer) pending->answer = Errc::closed;
    pending->arrived.notify();
  }
  tasks_.cancel();
  co_return co_await tasks_.join();
}

Task<> Client::receive() {
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (;;) {
    const auto datagram = co_await socket_->receive(buffer);
    if (!datagram) {
      // An ICMP error of one server says nothing about the others.
      if (datagram.error() == Errc::unreachable || datagram.error() == Errc::refused) continue;
      co_return datagram.error();
    }
    metrics_.received.add();
    if (datagram->size > buffer.size()) {
      metrics_.malformed.add();
      continue;
    }
    take(BytesView(buffer).first(datagram->size), datagram->from);
  }
}

void Client::take(BytesView datagram, const Endpoint& from) {
  const auto message = Message::parse(datagram);
  if (!message || message->header().is_legacy()) {
    metrics_.malformed.add();
    return;
  }
  const auto found = pending_.find(message->header().transaction);
  if (found == pending_.end() || found->second->answer) {
    metrics_.unmatched.add();
    return;
  }
  auto& pending = *found->second;
  if (!pending.accepts(from)) {
    metrics_.wrong_source.add();
    return;
  }
  const bool is_answer = is_response(message->header());
  if (!is_answer && !pending.is_any_source) {
    metrics_.unmatched.add();
    return;
  }
  auto response = is_answer ? decode_response(*message, from.ip) : Result<Response>(Response());
  // What is no answer does not end the wait for one.
  if (!response && !pending.is_any_source) {
    metrics_.malformed.add();
    return;
  }
  if (!response) response = Response();
  response->from = from;
  pending.answer = std::move(response);
  pending.arrived.notify();
}

Task<Response> Client::ask(Query query) {
  if (is_stopped_) co_return Errc::closed;
  if (pending_.size() >= kMaxPending) co_return Errc::limit_reached;
  const auto transaction = random_transaction(env_);
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  PYRSIA_CO_TRY(const auto request, encode_query(query, transaction, buffer));
  Pending pending(*this, transaction);
  pending.server = query.server;
  pending.change = query.change;
  co_return co_await wait(pending, request, query);
}

Task<Response> Client::wait(Pending& pending, BytesView request, const Query& query) {
  Retransmission retransmission(query.plan, env_.now());
  auto sent_at = env_.now();
  for (;;) {
    if (retransmission.is_due(env_.now())) {
      sent_at = env_.now();
      metrics_.sent.add();
      const auto sent = socket_->send(query.server, request);
      // The kernel reports an ICMP error of an earlier transmission: the next one may get through.
      if (!sent && retransmission.sent_count() == 1) co_return sent.error();
    }
    const auto left = retransmission.next() - env_.now();
    if (left > Duration(0)) {
      const auto waited = co_await with_timeout(env_, left, pending.arrived.wait());
      if (!waited && waited.error() == Errc::cancelled) co_return waited.error();
    }
    if (pending.answer) {
      if (!*pending.answer) co_return pending.answer->error();
      auto response = **std::move(pending.answer);
      response.round_trip = env_.now() - sent_at;
      response.transmissions = retransmission.sent_count();
      co_return response;
    }
    if (retransmission.is_over(env_.now())) co_return Errc::timed_out;
  }
}

Task<Response> Client::ask_and_follow(Query query) {
  Moves moves(query.server);
  for (;;) {
    auto response = co_await ask(query);
    if (!response || !response->error) co_return response;
    PYRSIA_CO_TRY(query.server, moves.next(*response));
  }
}

Result<> Client::indicate(const Endpoint& to) {
  std::array<std::uint8_t, 64> buffer{};
  Header header;
  header.message_class = MessageClass::indication;
  header.transaction = random_transaction(env_);
  Builder builder(buffer, header);
  builder.add_fingerprint();
  metrics_.sent.add();
  return socket_->send(to, builder.bytes());
}

Result<> Client::request(const Endpoint& to, const TransactionId& transaction) {
  std::array<std::uint8_t, 64> buffer{};
  Query query;
  PYRSIA_TRY(const auto bytes, encode_query(query, transaction, buffer));
  metrics_.sent.add();
  return socket_->send(to, bytes);
}

Result<> Client::request(const Endpoint& to, const TransactionId& transaction,
                         std::uint16_t response_port) {
  std::array<std::uint8_t, 64> buffer{};
  Query query;
  query.response_port = response_port;
  PYRSIA_TRY(const auto bytes, encode_query(query, transaction, buffer));
  metrics_.sent.add();
  return socket_->send(to, bytes);
}

Task<Endpoint> Client::hears(TransactionId transaction) {
  if (pending_.contains(transaction)) co_return Errc::already_exists;
  Pending pending(*this, transaction);
  pending.is_any_source = true;
  while (!pending.answer) PYRSIA_CO_TRY(co_await pending.arrived.wait());
  if (!*pending.answer) co_return pending.answer->error();
  co_return (*pending.answer)->from;
}

Result<BytesView> encode_query(const Query& query, const TransactionId& transaction,
                               std::span<std::uint8_t> out) {
  return encode_query(query, transaction, LongTerm(std::nullopt), out);
}

Result<BytesView> encode_query(const Query& query, const TransactionId& transaction,
                               const LongTerm& proof, std::span<std::uint8_t> out) {
  Header header;
  header.transaction = transaction;
  Builder builder(out, header);
  if (query.change.ip || query.change.port) builder.add_change_request(query.change);
  if (query.response_port) builder.add_response_port(*query.response_port);
  if (query.padding > 0) builder.add_padding(query.padding);
  proof.sign(builder);
  if (query.has_fingerprint) builder.add_fingerprint();
  return builder.finish();
}

Result<Response> decode_response(const Message& message, const IpAddress& server) {
  PYRSIA_TRY(check_understood(message));
  Response response;
  response.alternate_server = find_address(message, AttributeType::alternate_server);
  if (message.header().message_class == MessageClass::error) {
    const auto value = message.find(AttributeType::error_code);
    if (!value) return Errc::malformed;
    PYRSIA_TRY(const auto error, decode_error_code(*value));
    response.error = error.code;
    response.reason = printable(std::string(error.reason.substr(0, kMaxReasonBytes)));
    if (const auto types = message.find(AttributeType::unknown_attributes)) {
      PYRSIA_TRY(response.unknown, decode_unknown_attributes(*types));
    }
    return response;
  }
  const auto mapped = mapped_address(message);
  if (!mapped || !can_be_mapped(*mapped, server)) return Errc::malformed;
  response.mapped = *mapped;
  response.origin = find_address(message, AttributeType::response_origin);
  response.other = find_address(message, AttributeType::other_address);
  return response;
}

bool is_response(const Header& header) {
  return header.method == Method::binding && (header.message_class == MessageClass::success ||
                                              header.message_class == MessageClass::error);
}

TransactionId random_transaction(Env& env) {
  TransactionId transaction{};
  env.random(transaction);
  return transaction;
}

}  // namespace pyrsia::stun

#include "protocols/identify/identifier.hpp"

#include "crypto/envelope.hpp"
#include "protocols/identify/exchange.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <unordered_set>

namespace pyrsia::identify {
namespace {

/// Room for the observed address, which is appended to the rest of the message.
constexpr std::size_t kObservedBytes = 96;

}  // namespace

Identifier::Identifier(swarm::Swarm& swarm, const Config& config, Addresses addresses,
                       identify::Observer& observer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      addresses_(std::move(addresses)),
      observer_(observer),
      log_(log),
      push_limiter_(config.push_limits),
      changed_(env_.executor()),
      pushes_(env_),
      tasks_(env_) {}

Identifier::~Identifier() = default;

void Identifier::start() {
  swarm::ProtocolLimits limits;
  limits.streams_of_one_peer = config_.streams_of_one_peer;
  swarm_.handle(std::string(kProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
  swarm_.handle(std::string(kPushProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve_push(std::move(incoming)); });
  swarm_.add_observer(*this);
  tasks_.spawn(push_changes());
}

Task<> Identifier::stop() {
  swarm_.remove_observer(*this);
  tasks_.cancel();
  pushes_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  co_return co_await pushes_.join();
}

void Identifier::addresses_changed() {
  messages_.clear();
  changed_.notify();
}

void Identifier::on_connected(const swarm::ConnectionInfo& connection) {
  tasks_.spawn(identify(connection));
}

Task<> Identifier::identify(swarm::ConnectionInfo connection) {
  const auto answer = co_await with_timeout(env_, config_.timeout, ask(connection.id));
  if (answer) {
    accept(connection, *answer, Kind::answer);
    co_return ok;
  }
  if (answer.error() == Errc::cancelled) co_return answer.error();
  metrics_.failed.add();
  log_.debug("peer not identified", {{"error", answer.error()}});
  observer_.on_identify_failed(connection, answer.error());
  co_return answer.error();
}

Task<Message> Identifier::ask(swarm::ConnectionId connection) {
  const std::string protocol(kProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm_.open_stream_on(connection, protocol));
  co_return co_await receive(*stream);
}

void Identifier::accept(const swarm::ConnectionInfo& connection, const Message& message,
                        Kind kind) {
  const auto known = swarm_.peer_store().record_sequence(connection.peer);
  const auto info = check(message, kind, connection, swarm_.classifier(), known);
  if (!info) {
    metrics_.discarded.add();
    log_.debug("identify message discarded", {{"error", info.error()}});
    observer_.on_identify_failed(connection, info.error());
    return;
  }
  metrics_.identified.add();
  remember(connection.peer, *info);
  observer_.on_identified(connection, *info);
}

void Identifier::remember(const PeerId& peer, const Info& info) {
  auto& store = swarm_.peer_store();
  const auto now = env_.now();
  const auto set = [&](const std::vector<Multiaddr>& addresses, swarm::AddressSource source) {
    store.set_addresses(peer, addresses, source, now, config_.address_lifetime);
  };
  if (info.addresses && info.record_sequence) {
    set(*info.addresses, swarm::AddressSource::signed_record);
    set({}, swarm::AddressSource::identify);
    store.set_record_sequence(peer, *info.record_sequence);
  } else if (info.addresses) {
    set(*info.addresses, swarm::AddressSource::identify);
  }
  if (info.protocols) store.set_protocols(peer, *info.protocols);
  if (info.agent || info.protocol_version)
    store.set_agent(peer, info.agent.value_or(store.agent(peer)),
                    info.protocol_version.value_or(""));
}

Task<> Identifier::serve(swarm::IncomingStream incoming) {
  auto sending = send(*incoming.stream, message_for(incoming.connection));
  const auto sent = co_await with_timeout(env_, config_.timeout, std::move(sending));
  if (sent) metrics_.answered.add();
  co_return sent;
}

Task<> Identifier::serve_push(swarm::IncomingStream incoming) {
  if (!push_limiter_.allow(incoming.connection, env_.now())) {
    metrics_.pushes_refused.add();
    incoming.stream->reset(ResetCode::rate_limited);
    co_return Errc::limit_reached;
  }
  const auto message = co_await with_timeout(env_, config_.timeout, receive(*incoming.stream));
  if (!message) {
    metrics_.discarded.add();
    co_return message.error();
  }
  metrics_.pushes_received.add();
  accept(incoming.connection, *message, Kind::push);
  co_return ok;
}

Identifier::Self Identifier::self() const {
  return {addresses_(), swarm_.protocols()};
}

Bytes Identifier::message_for(const swarm::ConnectionInfo& connection) {
  const auto where = neighbourhood(connection, swarm_.classifier());
  auto at = messages_.find(where);
  if (at == messages_.end()) at = messages_.emplace(where, make_message(where)).first;
  auto bytes = at->second;
  if (connection.remote.is_relayed() || connection.remote.bytes().size() + 8 > kObservedBytes)
    return bytes;
  // Messages of protobuf that are put one behind the other are one message.
  Message rest;
  const auto observed = connection.remote.bytes();
  rest.observed_address.emplace(observed.begin(), observed.end());
  const auto tail = encode(rest);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

Bytes Identifier::make_message(AddressClass neighbourhood) {
  const auto own = self();
  const auto addresses = concerning(own.addresses, neighbourhood, swarm_.classifier());
  Message message;
  message.public_key = swarm_.key().public_key().to_protobuf();
  for (const auto& address : addresses) {
    const auto bare = address.without_peer();
    message.listen_addresses.emplace_back(bare.bytes().begin(), bare.bytes().end());
  }
  message.protocols = own.protocols;
  message.protocol_version = config_.protocol_version;
  message.agent_version = config_.agent;
  // A record without addresses would wipe what others know of us.
  if (!addresses.empty())
    message.signed_peer_record =
        crypto::seal_peer_record(swarm_.key(), next_record_sequence(), addresses);
  return encode(fit(std::move(message), kMaxSentBytes - kObservedBytes));
}

std::uint64_t Identifier::next_record_sequence() {
  const auto now = static_cast<std::uint64_t>(env_.wall_now().time_since_epoch().count());
  record_sequence_ = std::max(record_sequence_ + 1, now);  // The clock may be set back.
  return record_sequence_;
}

Task<> Identifier::push_changes() {
  auto known = self();
  for (;;) {
    PYRSIA_CO_TRY(co_await changed_.wait());
    PYRSIA_CO_TRY(co_await env_.sleep_for(config_.push_debounce));
    auto current = self();
    if (current == known) continue;
    known = std::move(current);
    PYRSIA_CO_TRY(co_await push_to_all());
  }
}

Task<> Identifier::push_to_all() {
  push_queue_.clear();
  std::unordered_set<PeerId> seen;
  for (auto& connection : swarm_.connections())
    if (swarm_.peer_store().supports(connection.peer, kPushProtocol) &&
        seen.insert(connection.peer).second)
      push_queue_.push_back(std::move(connection));
  const auto workers = std::min(config_.push_concurrency, push_queue_.size());
  for (std::size_t i = 0; i < workers; ++i) pushes_.spawn(push_from_queue());
  co_return co_await pushes_.wait_until_empty();
}

Task<> Identifier::push_from_queue() {
  while (!push_queue_.empty()) {
    auto connection = std::move(push_queue_.front());
    push_queue_.pop_front();
    auto push = push_on(std::move(connection));
    const auto pushed = co_await with_timeout(env_, config_.timeout, std::move(push));
    if (!pushed && pushed.error() == Errc::cancelled) co_return pushed.error();
    (pushed ? metrics_.pushes_sent : metrics_.pushes_failed).add();
  }
  co_return ok;
}

Task<> Identifier::push_on(swarm::ConnectionInfo connection) {
  const std::string protocol(kPushProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm_.open_stream_on(connection.id, protocol));
  co_return co_await send(*stream, message_for(connection));
}

}  // namespace pyrsia::identify

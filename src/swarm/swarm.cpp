#include "swarm/swarm.hpp"

#include "swarm/swarm_state.hpp"

#include <algorithm>

namespace pyrsia::swarm {
namespace {

/// Tries of open_stream(), each on another connection.
constexpr int kMaxTries = 3;

}  // namespace

/// Keeps stop() from ending while somebody is inside.
class Swarm::Call {
 public:
  explicit Call(State& state) : state_(state) { ++state_.calls; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (--state_.calls == 0) state_.calls_ended.notify();
  }

 private:
  State& state_;
};

Swarm::State::State(Env& env, const KeyPair& key, const Config& config,
                    const AddressClassifier& classifier, Logger log)
    : shared{env, key, key.peer_id(), config, classifier, log, {}, {}, PeerStore(), {}},
      notifier(env),
      connections(shared, notifier),
      streams(shared),
      listeners(shared, connections, notifier),
      dialer(shared, connections, listeners, notifier),
      calls_ended(env.executor()),
      tasks(env) {
  connections.set_stream_taker([this](LiveConnection& connection, std::unique_ptr<Stream> stream) {
    streams.take(connection, std::move(stream));
  });
}

Task<> Swarm::State::tick_for_ever() {
  for (;;) {
    PYRSIA_CO_TRY(co_await shared.env.sleep_for(shared.config.tick_interval));
    const auto now = shared.env.now();
    connections.tick(now);
    listeners.tick();
    dialer.tick(now);
    shared.peer_store.expire(now);
  }
}

Swarm::Swarm(Env& env, const KeyPair& key, const Config& config,
             const AddressClassifier& classifier, Logger log)
    : state_(std::make_unique<State>(env, key, config, classifier, log)) {}

Swarm::~Swarm() = default;

void Swarm::add_transport(std::unique_ptr<transport::Transport> transport) {
  state_->shared.transports.push_back(std::move(transport));
}

void Swarm::start() {
  state_->notifier.start();
  state_->streams.start();
  state_->tasks.spawn(state_->tick_for_ever());
}

Task<> Swarm::stop() {
  auto& state = *state_;
  state.is_stopping = true;
  // Whoever makes connections first, then the connections, then those who use them.
  PYRSIA_CO_TRY(co_await state.listeners.stop());
  PYRSIA_CO_TRY(co_await state.dialer.stop());
  PYRSIA_CO_TRY(co_await state.connections.stop());
  PYRSIA_CO_TRY(co_await state.streams.stop());
  while (state.calls > 0) PYRSIA_CO_TRY(co_await state.calls_ended.wait());
  state.tasks.cancel();
  PYRSIA_CO_TRY(co_await state.tasks.join());
  for (const auto& transport : state.shared.transports) PYRSIA_CO_TRY(co_await transport->stop());
  co_return co_await state.notifier.stop();
}

Result<Multiaddr> Swarm::listen(const Multiaddr& address) {
  return state_->listeners.listen(address);
}

std::vector<Multiaddr> Swarm::listen_addresses() const {
  return state_->listeners.addresses();
}

void Swarm::refresh_listen_addresses() {
  state_->listeners.tick();
}

void Swarm::handle(std::string protocol, ProtocolLimits limits, StreamHandler handler) {
  state_->streams.handle(Audience(), std::move(protocol), limits, std::move(handler));
  state_->notifier.protocols_changed();
}

void Swarm::handle_for(Audience audience, std::string protocol, ProtocolLimits limits,
                       StreamHandler handler) {
  state_->streams.handle(std::move(audience), std::move(protocol), limits, std::move(handler));
}

std::vector<std::string> Swarm::protocols() const {
  return state_->streams.protocols();
}

bool Swarm::can_dial(const Multiaddr& address) const {
  return std::ranges::any_of(state_->shared.transports,
                             [&](const auto& transport) { return transport->can_dial(address); });
}

Task<ConnectionInfo> Swarm::connect(DialRequest request) {
  auto& state = *state_;
  if (state.is_stopping) co_return Errc::closed;
  if (request.peer == state.shared.local_peer) co_return Errc::invalid_argument;
  const Call call(state);
  auto* connection = request.is_new_connection ? nullptr : state.connections.best(request.peer);
  if (!connection) {
    PYRSIA_CO_TRY(const auto info, co_await state.dialer.connect(std::move(request)));
    connection = state.connections.find(info.id);
    if (!connection) co_return Errc::closed;
  }
  ConnectionUse use(*connection);
  co_return co_await state.connections.wait_confirmed(std::move(use));
}

Task<std::unique_ptr<Stream>> Swarm::open_stream(PeerId peer, std::string protocol) {
  auto& state = *state_;
  if (state.is_stopping) co_return Errc::closed;
  const Call call(state);
  for (int tries = 1;; ++tries) {
    auto* connection = state.connections.best(peer);
    if (!connection) {
      DialRequest request{.peer = peer, .addresses = {}};
      // Not connect(): a stream may be opened before the peer has confirmed the connection.
      PYRSIA_CO_TRY(const auto info, co_await state.dialer.connect(std::move(request)));
      connection = state.connections.find(info.id);
      if (!connection) co_return Errc::closed;
    }
    const auto id = connection->info.id;
    ConnectionUse use(*connection);
    auto stream = co_await state.streams.open(std::move(use), protocol);
    if (stream || stream.error() != Errc::closed) co_return std::move(stream);
    // The connection was about to end. If it has, another one, or a new one, may do better.
    const auto* same = state.connections.find(id);
    const bool has_ended = !same || same->is_closing;
    if (!has_ended || tries == kMaxTries || state.is_stopping) co_return stream.error();
  }
}

Task<std::unique_ptr<Stream>> Swarm::open_stream_on(ConnectionId connection, std::string protocol) {
  auto& state = *state_;
  auto* found = state.connections.find(connection);
  if (!found || state.is_stopping) co_return Errc::closed;
  const Call call(state);
  ConnectionUse use(*found);
  co_return co_await state.streams.open(std::move(use), std::move(protocol));
}

std::vector<ConnectionInfo> Swarm::connections() const {
  return state_->connections.all();
}

std::vector<ConnectionInfo> Swarm::connections_to(const PeerId& peer) const {
  return state_->connections.all_to(peer);
}

bool Swarm::is_connected(const PeerId& peer) const {
  return state_->connections.best(peer) != nullptr;
}

std::size_t Swarm::peer_count() const {
  return state_->connections.peer_count();
}

void Swarm::set_synthesis(Synthesis synthesis) {
  state_->shared.synthesis = std::move(synthesis);
}

std::optional<Duration> Swarm::round_trip(ConnectionId connection) const {
  const auto* found = state_->connections.find(connection);
  return found ? found->muxer->round_trip() : std::nullopt;
}

std::optional<Duration> Swarm::round_trip_since(ConnectionId connection, TimePoint since) const {
  const auto* found = state_->connections.find(connection);
  return found ? found->muxer->round_trip_since(since) : std::nullopt;
}

void Swarm::measure_round_trip(ConnectionId connection) {
  if (auto* found = state_->connections.find(connection)) found->muxer->measure_round_trip();
}

void Swarm::close_connection(ConnectionId connection) noexcept {
  if (auto* found = state_->connections.find(connection)) Connections::close(*found);
}

void Swarm::disconnect(const PeerId& peer) noexcept {
  state_->connections.close_all_to(peer);
}

PeerStore& Swarm::peer_store() {
  return state_->shared.peer_store;
}

const PeerStore& Swarm::peer_store() const {
  return state_->shared.peer_store;
}

const PeerId& Swarm::local_peer() const {
  return state_->shared.local_peer;
}

const KeyPair& Swarm::key() const {
  return state_->shared.key;
}

Env& Swarm::env() {
  return state_->shared.env;
}

const AddressClassifier& Swarm::classifier() const {
  return state_->shared.classifier;
}

const Metrics& Swarm::metrics() const {
  return state_->shared.metrics;
}

void Swarm::add_observer(Observer& observer) {
  state_->notifier.add(observer);
}

void Swarm::remove_observer(Observer& observer) {
  state_->notifier.remove(observer);
}

}  // namespace pyrsia::swarm

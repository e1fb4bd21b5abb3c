#include "swarm/streams.hpp"

#include "runtime/timeout.hpp"
#include "wire/multistream.hpp"

namespace pyrsia::swarm {

/// Counts a stream against max_negotiating_streams of its connection.
class Streams::Negotiating {
 public:
  explicit Negotiating(LiveConnection& connection) : use_(connection) {
    ++use_->negotiating_streams;
  }
  Negotiating(Negotiating&& other) noexcept
      : use_(std::move(other.use_)), is_moved_(std::exchange(other.is_moved_, true)) {}
  Negotiating& operator=(Negotiating&&) = delete;
  ~Negotiating() {
    if (!is_moved_) --use_->negotiating_streams;
  }

  const ConnectionInfo& info() const { return use_->info; }

 private:
  ConnectionUse use_;
  bool is_moved_ = false;
};

struct Streams::Arrival {
  std::optional<Negotiating> negotiating;
  std::unique_ptr<Stream> stream;
};

/// Counts a stream against the limits of its protocol.
class Streams::Slot {
 public:
  Slot(Served& served, const PeerId& peer) : served_(served), peer_(peer) {
    ++served_.streams;
    ++served_.of_peer[peer_];
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    --served_.streams;
    const auto of_peer = served_.of_peer.find(peer_);
    if (--of_peer->second == 0) served_.of_peer.erase(of_peer);
  }

  static bool is_free(const Served& served, const PeerId& peer) {
    if (served.streams >= served.limits.streams) return false;
    const auto of_peer = served.of_peer.find(peer);
    return of_peer == served.of_peer.end() || of_peer->second < served.limits.streams_of_one_peer;
  }

 private:
  Served& served_;
  PeerId peer_;
};

Streams::Streams(Shared& shared)
    : shared_(shared), arrived_(shared.env.executor()), tasks_(shared.env) {}

Streams::~Streams() = default;

void Streams::start() {
  tasks_.spawn(dispatch());
}

Task<> Streams::stop() {
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  arrivals_.clear();
  co_return ok;
}

void Streams::handle(Audience audience, std::string protocol, ProtocolLimits limits,
                     StreamHandler handler) {
  auto& served = served_[std::move(protocol)];
  served.audience = std::move(audience);
  served.limits = limits;
  served.handler = std::move(handler);
}

std::vector<std::string> Streams::protocols() const {
  std::vector<std::string> names;
  for (const auto& [name, served] : served_)
    if (!served.audience) names.push_back(name);
  return names;
}

bool Streams::is_served_to(const PeerId& peer, std::string_view protocol) const {
  const auto found = served_.find(protocol);
  return found != served_.end() && (!found->second.audience || found->second.audience(peer));
}

void Streams::take(LiveConnection& connection, std::unique_ptr<Stream> stream) {
  if (connection.negotiating_streams >= shared_.config.max_negotiating_streams) {
    shared_.metrics.streams_refused.add();
    stream->reset(ResetCode::resource_limit);
    return;
  }
  Arrival arrival;
  arrival.negotiating.emplace(connection);
  arrival.stream = std::move(stream);
  arrivals_.push_back(std::move(arrival));
  arrived_.notify();
}

// Streams are served from here, not from take(): the muxer is in the middle of its work there.
Task<> Streams::dispatch() {
  for (;;) {
    PYRSIA_CO_TRY(co_await arrived_.wait());
    while (!arrivals_.empty()) {
      auto arrival = std::move(arrivals_.front());
      arrivals_.pop_front();
      tasks_.spawn(serve(std::move(arrival)));
    }
  }
}

Task<std::string> Streams::agree(Stream& stream, PeerId peer) {
  std::function<bool(std::string_view)> is_ours = [this, &peer](std::string_view name) {
    return is_served_to(peer, name);
  };
  co_return co_await wire::answer(stream, std::move(is_ours), protocols());
}

Task<> Streams::serve(Arrival arrival) {
  auto& stream = arrival.stream;
  auto agreeing = agree(*stream, arrival.negotiating->info().peer);
  auto protocol =
      co_await with_timeout(shared_.env, shared_.config.negotiation_timeout, std::move(agreeing));
  if (!protocol) {
    shared_.metrics.streams_refused.add();
    stream->reset(ResetCode::negotiation_failed);
    co_return protocol.error();
  }
  IncomingStream incoming{std::move(stream), *std::move(protocol), arrival.negotiating->info()};
  arrival.negotiating.reset();
  auto& served = served_.find(incoming.protocol)->second;
  if (!Slot::is_free(served, incoming.connection.peer)) {
    shared_.metrics.streams_refused.add();
    shared_.log.debug("stream refused: limit", {{"protocol", incoming.protocol}});
    incoming.stream->reset(ResetCode::resource_limit);
    co_return Errc::limit_reached;
  }
  shared_.metrics.streams_accepted.add();
  const Slot slot(served, incoming.connection.peer);
  co_return co_await served.handler(std::move(incoming));
}

Task<std::unique_ptr<Stream>> Streams::open(ConnectionUse connection, std::string protocol) {
  auto opening = open_and_agree(*connection, std::move(protocol));
  auto stream =
      co_await with_timeout(shared_.env, shared_.config.negotiation_timeout, std::move(opening));
  if (stream) shared_.metrics.streams_opened.add();
  co_return std::move(stream);
}

Task<std::unique_ptr<Stream>> Streams::open_and_agree(LiveConnection& connection,
                                                      std::string protocol) {
  if (connection.is_closing) co_return Errc::closed;
  PYRSIA_CO_TRY(auto stream, co_await connection.muxer->open_stream());
  // What the peer said it speaks needs no answer: the proposal travels with the first bytes. Nor is
  // one awaited while it has said nothing: if it does not speak this, the first read fails.
  const auto& store = shared_.peer_store;
  if (store.supports(connection.info.peer, protocol) ||
      !store.knows_protocols(connection.info.peer))
    co_return wire::propose_lazily(std::move(stream), std::move(protocol));
  std::vector<std::string> proposals(1, std::move(protocol));
  const auto agreed = co_await wire::propose(*stream, std::move(proposals));
  if (!agreed) {
    stream->reset(ResetCode::negotiation_failed);
    co_return agreed.error();
  }
  co_return std::move(stream);
}

}  // namespace pyrsia::swarm

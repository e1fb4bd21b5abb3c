#include "protocols/autonat_v2/server.hpp"

#include "protocols/autonat_v2/exchange.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {
namespace {

/// Requests being read, paid for, dialed and answered at once.
constexpr std::size_t kMaxStreams = 512;
/// Of one peer: so many that those over our limit get an answer, not a reset.
constexpr std::size_t kMaxStreamsOfOnePeer = 8;
/// Where a client does not answer a ping, or not at once.
constexpr Duration kLongRoundTrip = std::chrono::milliseconds(1500);
/// A dial that nobody answers takes less, where another may follow: 0.5 s and three round trips of
/// 0.7 s, and a sibling that is asked.
constexpr Duration kLongestDial = std::chrono::seconds(4);
/// The least that is taken for a round trip that nobody has measured.
constexpr Duration kShortRoundTrip = std::chrono::milliseconds(100);
/// A ping that takes this longer than two round trips has not left two of the three dials the time
/// to be answered.
constexpr Duration kSlack = std::chrono::milliseconds(400);

/// What a client is told of a dial that we could not make.
ResponseStatus status_of(Error error) {
  if (error == Errc::limit_reached) return ResponseStatus::request_rejected;
  if (error == Errc::unavailable) return ResponseStatus::dial_refused;
  return ResponseStatus::internal_error;
}

/// What limits by IP count; relayed clients and those on this machine are not counted.
IpAddress counted_ip(const swarm::ConnectionInfo& client) {
  const auto ip = client.remote.is_relayed() ? std::nullopt : client.remote.ip();
  return ip.value_or(IpAddress::v4_loopback());
}

}  // namespace

/// Counts a request against the limit of its peer, whatever ends it.
class Server::Ongoing {
 public:
  Ongoing(Server& server, PeerId peer) : server_(server), peer_(std::move(peer)) {
    ++server_.ongoing_[peer_];
  }
  Ongoing(const Ongoing&) = delete;
  Ongoing& operator=(const Ongoing&) = delete;
  ~Ongoing() {
    const auto count = server_.ongoing_.find(peer_);
    if (--count->second == 0) server_.ongoing_.erase(count);
  }

 private:
  Server& server_;
  PeerId peer_;
};

Server::Server(swarm::Swarm& swarm, const ServerConfig& config, Dialer& dialer,
               sibling::Siblings& siblings, Observer& observer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      dialer_(dialer),
      siblings_(siblings),
      observer_(observer),
      log_(log),
      throttle_(config.throttle),
      dial_data_throttle_(config.dial_data_throttle),
      hurry_throttle_(config.hurry_throttle) {}

void Server::start() {
  swarm::ProtocolLimits limits;
  limits.streams = kMaxStreams;
  limits.streams_of_one_peer = kMaxStreamsOfOnePeer;
  swarm_.handle(std::string(kDialRequestProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
}

Task<> Server::serve(swarm::IncomingStream incoming) {
  metrics_.requests.add();
  auto& stream = *incoming.stream;
  const auto client = incoming.connection.peer;
  // Before the request is read: who is over a limit shall cost us as little as can be.
  if (!is_within_limits(incoming.connection)) {
    auto refusing = refuse(stream, client, ResponseStatus::request_rejected, "too many requests");
    co_return co_await std::move(refusing);
  }
  const Ongoing ongoing(*this, client);
  auto receiving = receive_request(stream);
  auto request = co_await with_timeout(env_, config_.request_timeout, std::move(receiving));
  if (request) {
    auto serving = serve_request(stream, incoming.connection, *std::move(request));
    co_return co_await std::move(serving);
  }
  if (request.error() == Errc::too_large) {
    auto refusing = refuse(stream, client, ResponseStatus::request_rejected, "request too large");
    co_return co_await std::move(refusing);
  }
  const bool is_malformed = request.error() == Errc::malformed;
  (is_malformed ? metrics_.malformed : metrics_.failed).add();
  stream.reset(is_malformed ? ResetCode::protocol_violation : ResetCode::none);
  co_return request.error();
}

bool Server::is_within_limits(const swarm::ConnectionInfo& client) {
  const auto ongoing = ongoing_.find(client.peer);
  if (ongoing != ongoing_.end() && ongoing->second >= config_.max_requests_of_one_peer)
    return false;
  const auto ip = counted_ip(client);
  const auto verdict = throttle_.check(client.peer, ip, env_.now());
  if (verdict != swarm::Throttle::Verdict::allowed) return false;
  throttle_.add(client.peer, ip, env_.now());
  return true;
}

Task<> Server::serve_request(Stream& stream, swarm::ConnectionInfo client, DialRequest request) {
  auto choice = choose(client, request);
  if (!choice) {
    auto refusing =
        refuse(stream, client.peer, ResponseStatus::dial_refused, "no dialable addresses");
    co_return co_await std::move(refusing);
  }
  if (choice->needs_dial_data) {
    const auto ip = counted_ip(client);
    const auto verdict = dial_data_throttle_.check(client.peer, ip, env_.now());
    if (verdict != swarm::Throttle::Verdict::allowed) {
      auto refusing = refuse(stream, client.peer, ResponseStatus::request_rejected,
                             "too many requests for other IPs");
      co_return co_await std::move(refusing);
    }
    dial_data_throttle_.add(client.peer, ip, env_.now());
  }
  auto serving = serve_choice(stream, std::move(client), *std::move(choice), request.nonce);
  co_return co_await std::move(serving);
}

std::optional<Server::Choice> Server::choose(const swarm::ConnectionInfo& client,
                                             const DialRequest& request) const {
  for (std::uint32_t i = 0; i < request.addresses.size(); ++i) {
    const auto& address = request.addresses[i];
    if (address.empty() || !dialer_.is_willing_to_dial(address, client.peer)) continue;
    const bool is_own_ip = !client.remote.is_relayed() && client.remote.ip() &&
                           client.remote.ip()->unmapped() == address.ip()->unmapped();
    // Whoever is elsewhere would learn which ports our firewall hides.
    if (!is_own_ip && dialer_.is_on_this_machine(address)) continue;
    return Choice{i, address, !is_own_ip};
  }
  return std::nullopt;
}

Task<> Server::serve_choice(Stream& stream, swarm::ConnectionInfo client, Choice choice,
                            std::uint64_t nonce) {
  const auto address = choice.address;
  const auto index = choice.index;
  if (choice.needs_dial_data) {
    metrics_.dial_data_asked.add();
    const auto paid = co_await be_paid(stream, std::move(choice));
    if (!paid) {
      metrics_.dial_data_failed.add();
      stream.reset(paid.error() == Errc::timed_out ? ResetCode::none
                                                   : ResetCode::protocol_violation);
      co_return paid.error();
    }
  }
  InboundProbe begin{client.peer, InboundProbe::Stage::request, {address}, ""};
  observer_.on_inbound_probe(begin);
  const auto dialed = co_await dial_back(client, address, nonce);
  if (!dialed && dialed.error() == Errc::cancelled) co_return dialed.error();
  DialResponse response;
  response.status = dialed ? ResponseStatus::ok : status_of(dialed.error());
  if (dialed) {
    response.address_index = index;
    response.dial_status = *dialed;
  }
  report(client.peer, address, response);
  co_return co_await answer(stream, response);
}

Task<> Server::be_paid(Stream& stream, Choice choice) {
  const auto range = kMaxDialDataBytes - kMinDialDataBytes;
  const DialDataRequest price{choice.index, kMinDialDataBytes + env_.random_below(range + 1)};
  auto collecting = collect_dial_data(stream, price);
  PYRSIA_CO_TRY(co_await with_timeout(env_, config_.dial_data_timeout, std::move(collecting)));
  const auto most = static_cast<std::uint64_t>(config_.max_dial_wait.count());
  const Duration wait(static_cast<Duration::rep>(env_.random_below(most + 1)));
  co_return co_await env_.sleep_for(wait);
}

Task<DialStatus> Server::dial_back(swarm::ConnectionInfo client, Multiaddr address,
                                   std::uint64_t nonce) {
  const auto begin = env_.now();
  const auto round_trip = round_trip_to(client);
  swarm_.measure_round_trip(client.id);
  auto dialing = dial_within(client, address, nonce, round_trip);
  const auto dialed = co_await std::move(dialing);
  if (!dialed || *dialed != DialStatus::dial_error) co_return dialed;
  // A line that is full, or a radio that sleeps, holds up our dial as much as our ping.
  const auto measured = swarm_.round_trip_since(client.id, begin);
  const auto now_it_is = std::min(measured.value_or(kLongRoundTrip), kLongRoundTrip);
  if (now_it_is <= 2 * round_trip + kSlack) co_return dialed;
  // Somebody has answered, and then said nothing more: it was not a matter of time.
  if (env_.now() - begin > kLongestDial) co_return dialed;
  metrics_.dials_in_a_hurry.add();
  const auto ip = counted_ip(client);
  const auto verdict = hurry_throttle_.check(client.peer, ip, env_.now());
  if (verdict != swarm::Throttle::Verdict::allowed) co_return Errc::limit_reached;
  hurry_throttle_.add(client.peer, ip, env_.now());
  auto again = dial_within(std::move(client), std::move(address), nonce, now_it_is);
  co_return co_await std::move(again);
}

Task<DialStatus> Server::dial_within(swarm::ConnectionInfo client, Multiaddr address,
                                     std::uint64_t nonce, Duration round_trip) {
  const auto own_ip = client.local.ip().value_or(IpAddress());
  if (!siblings_.is_empty()) {
    sibling::Request request{client.peer, address, nonce, round_trip};
    auto dialing = siblings_.dial_back(std::move(request), own_ip);
    const auto dialed = co_await std::move(dialing);
    if (dialed) (dialed->is_by_us ? metrics_.dials_by_us : metrics_.dials_by_sibling).add();
    if (dialed) co_return dialed->status;
    if (dialed.error() != Errc::unavailable) co_return dialed.error();
    metrics_.dials_without_sibling.add();
  }
  metrics_.dials_by_us.add();
  auto dialing = dialer_.dial_back(std::move(client.peer), std::move(address), nonce, round_trip);
  co_return co_await std::move(dialing);
}

/// Before it is measured: a request comes one or two round trips after the connection, as it takes
/// that long to hear that we serve, and where one is seen.
Duration Server::round_trip_to(const swarm::ConnectionInfo& client) const {
  const auto guess = std::clamp(env_.now() - client.opened_at, kShortRoundTrip, kLongRoundTrip);
  return std::min(swarm_.round_trip(client.id).value_or(guess), kLongRoundTrip);
}

Task<> Server::answer(Stream& stream, DialResponse response) {
  auto responding = respond(stream, response);
  co_return co_await with_timeout(env_, config_.answer_timeout, std::move(responding));
}

Task<> Server::refuse(Stream& stream, PeerId client, ResponseStatus status, std::string why) {
  (status == ResponseStatus::dial_refused ? metrics_.refused : metrics_.rejected).add();
  InboundProbe end{std::move(client), InboundProbe::Stage::error, {}, std::move(why)};
  observer_.on_inbound_probe(end);
  const DialResponse response{status, 0, DialStatus::unused};
  co_return co_await answer(stream, response);
}

void Server::report(const PeerId& client, const Multiaddr& address, const DialResponse& response) {
  InboundProbe end{client, InboundProbe::Stage::error, {}, ""};
  if (response.status != ResponseStatus::ok) {
    metrics_.failed.add();
    end.reason = std::string(name(response.status));
  } else if (response.dial_status == DialStatus::ok) {
    metrics_.reached.add();
    end.stage = InboundProbe::Stage::response;
    end.addresses = {address};
  } else {
    const bool is_dial_error = response.dial_status == DialStatus::dial_error;
    (is_dial_error ? metrics_.not_reached : metrics_.dial_back_errors).add();
    end.reason = is_dial_error ? "dial failed" : "dialed, but the nonce could not be delivered";
  }
  log_.debug("dial-back ended",
             {{"status", name(response.status)}, {"dial_status", name(response.dial_status)}});
  observer_.on_inbound_probe(end);
}

}  // namespace pyrsia::autonat_v2

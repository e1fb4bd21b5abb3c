#include "protocols/autonat_v2/sibling/siblings.hpp"

#include "protocols/autonat_v2/sibling/exchange.hpp"
#include "runtime/beside.hpp"
#include "runtime/event.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <iterator>

namespace pyrsia::autonat_v2::sibling {
namespace {

/// Siblings that are asked for one dial-back, one after another.
constexpr std::size_t kMaxAsked = 8;

bool is_allowed(swarm::Throttle& throttle, const PeerId& peer, const IpAddress& ip, TimePoint now) {
  if (throttle.check(peer, ip, now) != swarm::Throttle::Verdict::allowed) return false;
  throttle.add(peer, ip, now);
  return true;
}

bool is_over_udp(const Multiaddr& address) {
  return address.has(Protocol::udp);
}

}  // namespace

/// One dial-back, as long as it goes on: a sibling's dial, and ours beside it.
struct Siblings::Effort {
  Effort(Env& env, Request r)
      : request(std::move(r)), begin(env.now()), hurry(env.executor()), ended(env.executor()) {}

  const Request request;
  const TimePoint begin;
  std::optional<PeerId> asked;  ///< Whose answer is waited for.
  Event hurry;                  ///< It has failed already: we begin.
  bool has_ended = false;       ///< Our own dial, and the check of the sibling.
  Event ended;
  std::unique_ptr<Dialer::Attempt> own;  ///< Only if it has reached the client.
  Error own_error;                       ///< Why we could not try.
};

Siblings::Siblings(swarm::Swarm& swarm, const Config& config, Dialer& dialer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      dialer_(dialer),
      log_(log),
      throttle_(config.throttle),
      target_throttle_(config.target_throttle),
      tasks_(env_) {
  for (const auto& address : config.peers) {
    const auto peer = address.peer_id();
    if (peer && *peer != swarm.local_peer()) siblings_[*peer].address = address;
  }
  swarm_.add_observer(*this);
}

Siblings::~Siblings() {
  swarm_.remove_observer(*this);
}

void Siblings::on_connected(const swarm::ConnectionInfo& connection) {
  const auto sibling = siblings_.find(connection.peer);
  if (sibling == siblings_.end() || connection.direction != swarm::Direction::inbound) return;
  if (connection.remote.is_relayed()) return;
  sibling->second.came(is_over_udp(connection.remote)) = env_.now();
}

void Siblings::start() {
  if (is_empty()) return;
  swarm::ProtocolLimits limits;
  limits.streams = 256;
  swarm_.handle_for([this](const PeerId& peer) { return siblings_.contains(peer); },
                    std::string(kProtocol), limits,
                    [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
  tasks_.spawn(stay_connected());
}

Task<> Siblings::stop() {
  tasks_.cancel();
  co_return co_await tasks_.join();
}

Task<> Siblings::serve(swarm::IncomingStream incoming) {
  metrics_.asked.add();
  auto& stream = *incoming.stream;
  auto receiving = receive_request(stream);
  auto received = co_await with_timeout(env_, config_.receive_timeout, std::move(receiving));
  if (!received) {
    metrics_.rejected.add();
    stream.reset(ResetCode::protocol_violation);
    co_return received.error();
  }
  PYRSIA_CO_TRY(const auto response, co_await help(incoming.connection.peer, *std::move(received)));
  log_.debug("asked by a sibling", {{"status", name(response.status)}});
  auto responding = respond(stream, response);
  co_return co_await with_timeout(env_, config_.receive_timeout, std::move(responding));
}

Task<Response> Siblings::help(PeerId asker, Request request) {
  // Our own rules hold whoever asks: a sibling may be in other hands one day.
  if (!dialer_.is_willing_to_dial(request.address, request.client)) {
    metrics_.rejected.add();
    co_return Response{Status::refused};
  }
  // Who asks for itself wants to know whether we can dial at all.
  if (request.client != asker && swarm_.is_connected(request.client)) {
    metrics_.known_clients.add();
    co_return Response{Status::known_client};
  }
  const auto now = env_.now();
  const auto target = *request.address.ip();
  if (!is_allowed(throttle_, asker, IpAddress::v4_loopback(), now) ||  // Its IP is not counted.
      !is_allowed(target_throttle_, request.client, target, now)) {
    metrics_.rejected.add();
    co_return Response{Status::rejected};
  }
  auto dialing = dialer_.dial_back(std::move(request.client), std::move(request.address),
                                   request.nonce, request.round_trip);
  const auto dialed = co_await std::move(dialing);
  if (dialed) {
    metrics_.helped.add();
    co_return Response{Status::dialed, *dialed};
  }
  if (dialed.error() == Errc::cancelled) co_return dialed.error();
  metrics_.rejected.add();
  co_return Response{dialed.error() == Errc::limit_reached ? Status::rejected
                                                           : Status::internal_error};
}

Task<Helped> Siblings::dial_back(Request request, IpAddress own_ip) {
  const auto nonce = request.nonce;
  Effort effort(env_, std::move(request));
  auto having = have_dialed(effort, own_ip);
  auto beside = dial_beside(effort);
  const auto dialed = co_await with_beside(env_, std::move(having), std::move(beside));
  if (dialed) co_return Helped{*dialed, false};
  if (dialed.error() != Errc::unavailable || !effort.own) co_return dialed.error();
  PYRSIA_CO_TRY(const auto delivered, co_await dialer_.deliver(*effort.own, nonce));
  co_return Helped{delivered, true};
}

Task<DialStatus> Siblings::have_dialed(Effort& effort, IpAddress own_ip) {
  const auto is_udp = is_over_udp(effort.request.address);
  for (const auto& sibling : helpers(effort.request.address, own_ip)) {
    metrics_.requests.add();
    effort.asked = sibling;
    auto asking = ask(sibling, effort.request);
    const auto response = co_await with_timeout(env_, config_.request_timeout, std::move(asking));
    if (!response && response.error() == Errc::cancelled) co_return response.error();
    if (!response) {
      metrics_.failed.add();
      log_.debug("sibling does not answer", {{"error", response.error()}});
      siblings_[sibling].rests_until = env_.now() + config_.rest;
      // It may have dialed all the same: nobody must try now whom its dial has let in.
      if (response.error() == Errc::timed_out) co_return Errc::timed_out;
      continue;
    }
    if (response->status != Status::dialed) {
      log_.debug("sibling does not help", {{"status", name(response->status)}});
      continue;
    }
    if (response->dial_status != DialStatus::dial_error) {
      siblings_[sibling].health(is_udp).has_reached_client(env_.now());
      co_return response->dial_status;
    }
    PYRSIA_CO_TRY(const bool counts, co_await is_evidence(sibling, effort));
    if (counts) co_return DialStatus::dial_error;
    metrics_.doubted.add();
    log_.debug("sibling cannot dial", {{"sibling", sibling.to_string()}});
    siblings_[sibling].rests_until = env_.now() + config_.rest;
  }
  co_return Errc::unavailable;
}

Task<bool> Siblings::is_evidence(PeerId sibling, Effort& effort) {
  effort.hurry.notify();
  while (!effort.has_ended) PYRSIA_CO_TRY(co_await effort.ended.wait());
  if (effort.own_error) co_return effort.own_error;  // One machine's word is no proof.
  if (!effort.own) co_return true;                   // Neither of us has reached it.
  const auto& address = effort.request.address;
  const bool is_udp = is_over_udp(address);
  PYRSIA_CO_TRY(co_await check(sibling, is_udp));
  auto& health = siblings_[sibling].health(is_udp);
  health.has_missed(*address.ip());
  co_return !health.is_suspect() && health.is_proven(env_.now());
}

Task<> Siblings::dial_beside(Effort& effort) {
  const auto& request = effort.request;
  const auto patience = config_.own_dial_after + request.round_trip;
  const auto hurried = co_await with_timeout(env_, patience, effort.hurry.wait());
  if (!hurried && hurried.error() == Errc::cancelled) co_return hurried.error();
  auto reaching =
      dialer_.reach(request.client, request.address, request.round_trip, env_.now() - effort.begin);
  auto attempt = co_await std::move(reaching);
  if (!attempt && attempt.error() == Errc::cancelled) co_return attempt.error();
  if (!attempt) effort.own_error = attempt.error();
  if (attempt && (*attempt)->has_reached()) {
    effort.own = *std::move(attempt);
    // While the sibling still tries: the truth shall not take longer for it.
    if (effort.asked) PYRSIA_CO_TRY(co_await check(*effort.asked, is_over_udp(request.address)));
  }
  effort.has_ended = true;
  effort.ended.notify();
  co_return ok;
}

Task<> Siblings::check(PeerId sibling, bool is_udp) {
  const auto own = own_address(is_udp);
  if (!own || siblings_[sibling].health(is_udp).is_proven(env_.now())) co_return ok;
  metrics_.checks.add();
  const auto begin = env_.now();
  Request asked{swarm_.local_peer(), *own, env_.random_below(UINT64_MAX), Duration(0)};
  auto asking = ask(sibling, std::move(asked));
  const auto response = co_await with_timeout(env_, config_.request_timeout, std::move(asking));
  if (!response && response.error() == Errc::cancelled) co_return response.error();
  // That it was let in is enough: who minds the nonce is our client, if there is one.
  const auto came = siblings_[sibling].came(is_over_udp(*own));
  if (response && response->status == Status::dialed &&
      response->dial_status != DialStatus::dial_error && came && *came >= begin)
    siblings_[sibling].health(is_udp).has_reached_us(env_.now());
  co_return ok;
}

/// One of ours that it should be able to reach; of the other kind if there is none of this one.
std::optional<Multiaddr> Siblings::own_address(bool is_udp) const {
  auto own = config_.own_addresses;
  std::ranges::copy(swarm_.listen_addresses(), std::back_inserter(own));
  std::erase_if(own, [&](const Multiaddr& each) {
    return !each.ip() || !swarm_.classifier().is_usable_by_others(each);
  });
  const auto same = [&](const Multiaddr& each) { return is_over_udp(each) == is_udp; };
  const auto found = std::ranges::find_if(own, same);
  if (found != own.end()) return *found;
  if (!own.empty()) return own.front();
  return std::nullopt;
}

Task<Response> Siblings::ask(PeerId sibling, Request asked) {
  const std::string protocol(kProtocol);
  auto opening = swarm_.open_stream(std::move(sibling), protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  auto response = co_await request(*stream, std::move(asked));
  if (!response) stream->reset();
  co_return response;
}

std::vector<PeerId> Siblings::helpers(const Multiaddr& address, const IpAddress& own_ip) {
  std::vector<IpAddress> excluded{own_ip.unmapped()};
  if (const auto target = address.ip()) excluded.push_back(target->unmapped());
  for (const auto& each : config_.own_addresses)
    if (const auto ip = each.ip()) excluded.push_back(ip->unmapped());
  std::vector<PeerId> out;
  for (const auto& [peer, sibling] : siblings_) {
    if (!swarm_.is_connected(peer) || env_.now() < sibling.rests_until) continue;
    const auto ip = public_ip(peer, sibling);
    if (ip && std::ranges::find(excluded, *ip) == excluded.end()) out.push_back(peer);
  }
  for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[env_.random_below(i)]);
  if (out.size() > kMaxAsked) out.erase(out.begin() + kMaxAsked, out.end());
  return out;
}

std::optional<IpAddress> Siblings::public_ip(const PeerId& peer, const Sibling& sibling) const {
  const auto usable = [&](const std::optional<IpAddress>& ip) -> std::optional<IpAddress> {
    if (!ip || !swarm_.classifier().is_usable_by_others(*ip)) return std::nullopt;
    return ip->unmapped();
  };
  // Members often reach each other by private addresses: the listed one says more.
  if (const auto ip = usable(sibling.address.ip())) return ip;
  for (const auto& connection : swarm_.connections_to(peer))
    if (const auto ip = usable(connection.remote.ip())) return ip;
  return std::nullopt;
}

Task<> Siblings::stay_connected() {
  for (;;) {
    for (const auto& [peer, sibling] : siblings_)
      if (!swarm_.is_connected(peer)) tasks_.spawn(connect(peer, sibling.address));
    PYRSIA_CO_TRY(co_await env_.sleep_for(config_.check_interval));
    // Each try has ended by then: connect_timeout is no longer than the interval.
  }
}

Task<> Siblings::connect(PeerId sibling, Multiaddr address) {
  swarm::DialRequest request{.peer = std::move(sibling), .addresses = {std::move(address)}};
  // From our listener's port, two that dial each other at one moment would meet half-way, as TCP
  // has it (RFC 9293, 3.5: simultaneous open), and both wait for the other to answer.
  request.use_new_port = true;
  auto dial = swarm_.connect(std::move(request));
  const auto connected = co_await with_timeout(env_, config_.connect_timeout, std::move(dial));
  if (!connected) log_.debug("cannot reach a sibling", {{"error", connected.error()}});
  co_return ok;
}

}  // namespace pyrsia::autonat_v2::sibling

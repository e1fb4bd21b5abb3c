#include "protocols/autonat/client.hpp"

#include "base/in_words.hpp"
#include "protocols/autonat/exchange.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::autonat {
namespace {

/// The original's words for a probe that got no answer.
std::string failure_text(Error error) {
  if (error == Errc::timed_out) return "timeout: no answer from the server";
  if (error == Errc::not_supported) return "unsupported protocols: the server speaks no AutoNAT";
  if (error == Errc::closed || error == Errc::reset)
    return "connection closed: the server ended the stream without an answer";
  if (error == Errc::malformed || error == Errc::too_large || error == Errc::protocol_violation)
    return "malformed answer from the server";
  return "dial failure: " + std::string(in_words(error));
}

/// True if a server that was asked for `asked` may honestly answer `address`: it replaces the IP.
bool is_of_request(const Multiaddr& address, const std::vector<Multiaddr>& asked) {
  const auto has_port = [&](const Multiaddr& one) { return one.port() == address.port(); };
  return address.is_plain_tcp() && std::ranges::any_of(asked, has_port);
}

}  // namespace

Client::Client(swarm::Swarm& swarm, const ClientConfig& config, Addresses addresses,
               Observer& observer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      addresses_(std::move(addresses)),
      observer_(observer),
      log_(log),
      first_probes_left_(config.first_probes),
      woken_(env_.executor()),
      tasks_(env_) {}

Client::~Client() = default;

void Client::start() {
  next_probe_at_ = env_.now() + config_.boot_delay;
  tasks_.spawn(run());
}

Task<> Client::stop() {
  tasks_.cancel();
  co_return co_await tasks_.join();
}

Result<> Client::add_server(const PeerId& peer, const std::vector<Multiaddr>& addresses) {
  if (!servers_.contains(peer) && servers_.size() >= config_.max_servers) {
    // Those of long ago that we are no longer connected to make room.
    const auto lost = std::ranges::find_if(servers_, [&](const auto& entry) {
      return !entry.second.is_probing && !swarm_.is_connected(entry.first);
    });
    if (lost == servers_.end()) return Errc::limit_reached;
    servers_.erase(lost);
  }
  auto& server = servers_[peer];
  server.is_fixed = true;
  server.addresses = addresses;
  reconsider();
  return ok;
}

void Client::reconsider() {
  woken_.notify();
}

void Client::probe_at(TimePoint at) {
  next_probe_at_ = at;
  woken_.notify();
}

void Client::set_paused(bool is_paused) {
  if (std::exchange(is_paused_, is_paused) != is_paused) woken_.notify();
}

bool Client::is_probing(const PeerId& peer) const {
  const auto at = servers_.find(peer);
  return at != servers_.end() && at->second.is_probing;
}

Task<> Client::run() {
  for (;;) {
    const auto wait = std::max(next_probe_at_ - env_.now(), Duration(0));
    const auto woken = co_await with_timeout(env_, wait, woken_.wait());
    if (!woken && woken.error() == Errc::cancelled) co_return woken.error();
    first_probes();
    if (env_.now() >= next_probe_at_) tick();
  }
}

void Client::first_probes() {
  if (first_probes_left_ == 0 || is_paused_) return;
  const auto asked = usable_addresses();
  if (asked.empty()) return;
  for (const auto& peer : eligible_servers(true)) {
    if (first_probes_left_ == 0) return;
    if (servers_.contains(peer) && servers_[peer].was_asked) continue;
    --first_probes_left_;
    next_probe_at_ = env_.now() + config_.retry_interval;
    start_probe(peer, asked);
  }
}

void Client::tick() {
  next_probe_at_ = env_.now() + config_.retry_interval;
  forget_strangers();
  if (is_paused_) return;
  const auto asked = usable_addresses();
  if (asked.empty()) {
    metrics_.no_address.add();
    report_error({}, "no address of ours that others could use");
    return;
  }
  // One that we are connected to is there to answer; of the others many may be gone for ever.
  auto servers = eligible_servers(true);
  if (servers.empty()) servers = eligible_servers(false);
  if (servers.empty()) {
    metrics_.no_server.add();
    report_error({}, "no server known that could be asked now");
    return;
  }
  start_probe(servers[env_.random_below(servers.size())], asked);
}

void Client::start_probe(const PeerId& peer, std::vector<Multiaddr> asked) {
  auto& server = servers_[peer];
  server.is_probing = true;
  server.was_asked = true;
  metrics_.probes.add();
  Probe next{peer, server.addresses, std::move(asked)};
  tasks_.spawn(probe(std::move(next)));
}

Task<> Client::probe(Probe probe) {
  OutboundProbe begin;
  begin.server = probe.server;
  observer_.on_outbound_probe(begin);
  const auto response = co_await with_timeout(env_, config_.probe_timeout, ask(probe));
  if (!response && response.error() == Errc::cancelled) co_return response.error();
  servers_[probe.server].is_probing = false;
  if (response)
    answered(probe, *response);
  else
    failed(probe, response.error());
  woken_.notify();
  co_return ok;
}

Task<DialResponse> Client::ask(Probe probe) {
  if (!swarm_.is_connected(probe.server)) {
    swarm::DialRequest dial{probe.server, probe.server_addresses};
    PYRSIA_CO_TRY(co_await swarm_.connect(std::move(dial)));
  }
  const std::string protocol(kProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm_.open_stream(probe.server, protocol));
  auto dial = fitting_dial(swarm_.local_peer(), probe.asked);
  auto response = co_await request(*stream, std::move(dial));
  if (!response) stream->reset();
  co_return response;
}

void Client::answered(const Probe& probe, const DialResponse& response) {
  servers_[probe.server].failures = 0;
  metrics_.answered.add();
  ProbeResult result{probe.server, {}, response.status, response.text, {}, probe.asked};
  for (const auto& connection : swarm_.connections_to(probe.server))
    if (!connection.remote.is_relayed() && !result.server_ip)
      result.server_ip = connection.remote.ip();

  OutboundProbe end;
  end.server = probe.server;
  if (response.status == Status::ok) {
    const auto named = response.address->peer_id();
    result.address = response.address->without_peer();
    if ((named && *named != swarm_.local_peer()) || !is_of_request(*result.address, probe.asked) ||
        !swarm_.classifier().is_usable_by_others(*result.address)) {
      report_error(probe.server, "the server claims to have reached an address that is not ours");
      return;
    }
    end.stage = OutboundProbe::Stage::response;
    end.address = result.address;
  } else {
    end.stage = OutboundProbe::Stage::error;
    end.reason = std::string(name(response.status));
    if (!response.text.empty()) end.reason += ": " + response.text;
  }
  observer_.on_probe_result(result);
  observer_.on_outbound_probe(end);
}

void Client::failed(const Probe& probe, Error error) {
  metrics_.failed.add();
  auto& server = servers_[probe.server];
  server.not_before = env_.now() + back_off(server.failures++);
  log_.debug("probe without an answer", {{"error", error}});
  report_error(probe.server, failure_text(error));
}

void Client::report_error(std::optional<PeerId> server, std::string reason) {
  OutboundProbe end;
  end.server = std::move(server);
  end.stage = OutboundProbe::Stage::error;
  end.reason = std::move(reason);
  observer_.on_outbound_probe(end);
}

std::vector<Multiaddr> Client::usable_addresses() const {
  std::vector<Multiaddr> out;
  for (const auto& address : addresses_()) {
    const auto bare = address.without_peer();
    // Old servers refuse a whole request for one component that they do not know.
    if (!bare.is_plain_tcp() || bare.port().value_or(0) == 0) continue;
    if (!swarm_.classifier().is_usable_by_others(bare)) continue;
    if (std::ranges::find(out, bare) == out.end()) out.push_back(bare);
  }
  return fitting_dial(swarm_.local_peer(), out).addresses;
}

std::vector<PeerId> Client::eligible_servers(bool only_connected) {
  std::vector<PeerId> out;
  const auto add = [&](const PeerId& peer) {
    if (is_eligible(peer) && std::ranges::find(out, peer) == out.end()) out.push_back(peer);
  };
  for (const auto& [peer, server] : servers_)
    if (server.is_fixed && (!only_connected || swarm_.peer_store().supports(peer, kProtocol)))
      if (!only_connected || swarm_.is_connected(peer)) add(peer);
  for (const auto& connection : swarm_.connections()) {
    if (out.size() >= config_.max_servers) break;
    if (is_connected_in_scope(connection.peer)) add(connection.peer);
  }
  return out;
}

bool Client::is_eligible(const PeerId& peer) const {
  const auto at = servers_.find(peer);
  if (at == servers_.end()) return servers_.size() < config_.max_servers;
  return !at->second.is_probing && env_.now() >= at->second.not_before;
}

bool Client::is_connected_in_scope(const PeerId& peer) const {
  if (!swarm_.peer_store().supports(peer, kProtocol)) return false;
  const auto connections = swarm_.connections_to(peer);
  return std::ranges::any_of(connections, [&](const swarm::ConnectionInfo& connection) {
    return !connection.remote.is_relayed() &&
           swarm_.classifier().is_usable_by_others(connection.remote);
  });
}

void Client::forget_strangers() {
  std::erase_if(servers_, [&](const auto& entry) {
    const auto& server = entry.second;
    return !server.is_fixed && !server.is_probing && !swarm_.is_connected(entry.first) &&
           env_.now() >= server.not_before;
  });
}

Duration Client::back_off(int failures) {
  const auto doubled = config_.min_back_off * (std::int64_t(1) << std::min(failures, 16));
  const auto pause = std::min<Duration>(doubled, config_.max_back_off);
  // Between three and five quarters of it, so that nodes that lost the same server part ways.
  const auto half = static_cast<std::uint64_t>(pause.count() / 2);
  return pause * 3 / 4 + Duration(static_cast<std::int64_t>(env_.random_below(half + 1)));
}

}  // namespace pyrsia::autonat

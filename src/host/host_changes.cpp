// How a host keeps up with its machine: networks that come and go, sleep, time that passes.
#include "host/host_state.hpp"
#include "nat/portmap/place.hpp"

#include <algorithm>

namespace pyrsia {
namespace {

/// How often old evidence is let go.
constexpr Duration kHouseInterval = std::chrono::seconds(1);
/// How often the network memory is written, if it has changed; and at the end.
constexpr Duration kSaveInterval = std::chrono::minutes(1);
/// What changes within this is one change of the network.
constexpr Duration kNetworkDebounce = std::chrono::milliseconds(100);
/// Until the network is watched again after that has failed: at first, doubled up to the second.
constexpr Duration kFirstWatchPause = std::chrono::seconds(1);
constexpr Duration kLastWatchPause = std::chrono::minutes(1);
/// How long in a network it may take until somebody has spoken to its router.
constexpr Duration kArrival = std::chrono::seconds(10);

}  // namespace

Task<> Host::State::watch_network() {
  auto pause = kFirstWatchPause;
  for (bool is_first = true;; is_first = false) {
    auto watcher = env.watch_network();
    Error failure;
    if (watcher) {
      network_watcher = *std::move(watcher);
      if (!is_first) recheck("the network of this machine is watched again");
      const auto opened_at = env.now();
      const auto ended = co_await follow_network();
      network_watcher.reset();
      if (ended.error() == Errc::cancelled) co_return ended.error();
      if (env.now() - opened_at > kLastWatchPause) pause = kFirstWatchPause;
      failure = ended.error();
    } else {
      failure = watcher.error();
    }
    // Meanwhile the interfaces are still looked at every few seconds.
    if (pause == kFirstWatchPause)
      log.warning("the network of this machine is not watched", {{"error", failure}});
    PYRSIA_CO_TRY(co_await env.sleep_for(pause));
    pause = std::min(2 * pause, kLastWatchPause);
  }
}

Task<> Host::State::follow_network() {
  for (;;) {
    PYRSIA_CO_TRY(co_await network_watcher->changed());
    PYRSIA_CO_TRY(co_await env.sleep_for(kNetworkDebounce));
    recheck("the network of this machine has changed");
  }
}

void Host::State::recheck(const std::string& why) {
  log.info("looking at our addresses again", {{"reason", why}});
  ++network_change_count;
  came_here_at = env.now();
  look_which_network();
  swarm.refresh_listen_addresses();
  close_connections_of_lost_addresses();
  addresses_changed();
  mapped_ports.network_changed();
  shared_ports->reconsider();
  nat64_doubted.notify();
  feed(host::Doubt{why});
}

void Host::State::close_connections_of_lost_addresses() {
  std::set<IpAddress> ours;
  for (const auto& each : env.interface_addresses()) ours.insert(each.ip);
  for (const auto& connection : swarm.connections()) {
    const auto ip = connection.local.ip();
    // Its packets have no way back; waiting for the keep-alive would only delay the next verdict.
    // QUIC moves: its next packet leaves from what address we have now.
    if (!ip || ip->is_loopback() || connection.local.is_quic_v1() || ours.contains(*ip)) continue;
    observed.remove(connection.id);
    swarm.close_connection(connection.id);
  }
}

Task<> Host::State::follow_nat64() {
  for (;;) {
    PYRSIA_CO_TRY(co_await nat64_doubted.wait());
    PYRSIA_CO_TRY(co_await learn_nat64());
  }
}

Task<> Host::State::learn_nat64() {
  std::vector<AdvertisedNat64> advertised;
  if (network_watcher) advertised = network_watcher->nat64_prefixes();
  co_return co_await nat64.learn(std::move(advertised));
}

void Host::State::look_which_network() {
  here.reset();
  const auto place = portmap::main_network(env);
  if (!place) return;
  const auto key = host::key_of(place->gateway, place->local);
  if (!key.hardware_address.empty()) here = key;
}

void Host::State::remember_network() {
  look_which_network();
  auto* known = here ? memory.at(*here) : nullptr;
  if (!known) return;
  if (reachability.status() != Reachability::unknown) known->verdict = name(reachability.status());
  const auto mapping = observed.port_mapping(false, false).mapping;
  if (mapping != host::PortMapping::unknown)
    known->port_mapping = mapping == host::PortMapping::endpoint_independent
                              ? "endpoint_independent"
                              : "endpoint_dependent";
}

NatReport Host::State::nat() const {
  auto report = reachability.report(env.now());
  if (report.status != Reachability::unknown || !here) return report;
  const auto* known = memory.find(*here);
  const auto words = known ? words_of(*known) : std::string();
  if (!words.empty()) report.reason += (report.reason.empty() ? "" : "; ") + words;
  return report;
}

Task<> Host::State::keep_house() {
  auto next_save = env.now() + kSaveInterval;
  for (;;) {
    PYRSIA_CO_TRY(co_await env.sleep_for(kHouseInterval));
    feed_servers();
    choose_version();
    const auto why = wake_detector.look(env.now(), env.wall_now(), env.slept());
    if (!why.empty()) recheck(std::string(why));
    if (nat64.is_unanswered()) nat64_doubted.notify();
    // Its router may have been spoken to by now.
    if (!here && env.now() - came_here_at < kArrival) look_which_network();
    feed(host::TimePassed());
    if (observed.expire(env.now())) addresses_changed();
    if (env.now() >= next_save) {
      next_save = env.now() + kSaveInterval;
      PYRSIA_CO_TRY(co_await memory.save());
    }
  }
}

}  // namespace pyrsia

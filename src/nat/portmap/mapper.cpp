#include "nat/portmap/mapper.hpp"

#include "runtime/beside.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::portmap {
namespace {

/// A router that grants seconds is not asked more often than this. RFC 6887, section 11.2.1.
constexpr Duration kMinRenewal = std::chrono::seconds(4);
/// Mappings without an end are looked after all the same.
constexpr Duration kPermanentRenewal = std::chrono::hours(1);
/// Between two words of a restart that are believed.
constexpr Duration kAnnouncePause = std::chrono::milliseconds(500);

bool is_same(const NetworkId& a, const NetworkId& b) {
  const bool is_same_router = a.gateway.hardware_address.empty() ||
                              b.gateway.hardware_address.empty() ||
                              a.gateway.hardware_address == b.gateway.hardware_address;
  return is_same_router && a.gateway.ip == b.gateway.ip && a.local == b.local &&
         a.gateway.interface_name == b.gateway.interface_name;
}

bool belongs_to(const Listener& listener, const IpAddress& local) {
  const auto& ip = listener.at.ip;
  return ip.is_v6() == local.is_v6() && (ip == local || ip.is_unspecified());
}

}  // namespace

Mapper::Mapper(Env& env, MapperConfig config, const AddressClassifier& classifier,
               Observer& observer, Memory memory, Metrics& metrics, Logger log)
    : env_(env),
      config_(std::move(config)),
      classifier_(classifier),
      observer_(observer),
      memory_(std::move(memory)),
      metrics_(metrics),
      log_(log),
      context_{env, metrics,
               [this](std::string_view text) { log_.debug("port mapping", {{"what", text}}); },
               &refusals_},
      slept_(env.slept()),
      woken_(env.executor()),
      tasks_(env) {}

Mapper::~Mapper() = default;

void Mapper::start() {
  tasks_.spawn(run());
  tasks_.spawn(listen_for_restarts());
}

Task<> Mapper::stop() {
  is_stopping_ = true;
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  auto removing = remove_all();
  const auto removed = co_await with_timeout(env_, config_.removal_budget, std::move(removing));
  if (!removed) metrics_.removals_failed.add();
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  for (auto& [local, path] : paths_) {
    for (auto& router : path.routers) PYRSIA_CO_TRY(co_await router->stop());
    for (auto& router : path.failed) PYRSIA_CO_TRY(co_await router->stop());
  }
  paths_.clear();
  co_return ok;
}

void Mapper::set_listeners(std::vector<Listener> listeners) {
  std::ranges::sort(listeners);
  const auto doubled = std::ranges::unique(listeners);
  listeners.erase(doubled.begin(), doubled.end());
  if (listeners.size() > config_.max_listeners) {
    metrics_.ports_over_limit.add(listeners.size() - config_.max_listeners);
    listeners.resize(config_.max_listeners);
  }
  if (listeners == listeners_) return;
  listeners_ = std::move(listeners);
  woken_.notify();
}

void Mapper::network_changed() {
  metrics_.network_changes.add();
  is_network_new_ = true;
  rounds_.interrupt();
  woken_.notify();
}

void Mapper::judge(Transport transport, const Endpoint& external, bool was_reached) {
  for (auto& [local, path] : paths_)
    for (auto& [listener, lease] : path.leases)
      if (listener.transport == transport && lease.told == external && lease.verdict != was_reached)
        judge(path, listener, lease, was_reached);
}

void Mapper::judge(const Path& path, const Listener& listener, Lease& lease, bool was_reached) {
  lease.verdict = was_reached;
  MappingEvent event;
  event.kind = was_reached ? MappingEvent::Kind::confirmed : MappingEvent::Kind::broken;
  event.listener = listener;
  event.external = *lease.told;
  event.method = method_of(path, lease);
  event.words = words_of(path, lease, status_of(path, listener, lease).state);
  observer_.on_mapping(event);
}

std::vector<std::pair<Listener, Endpoint>> Mapper::externals() const {
  std::vector<std::pair<Listener, Endpoint>> out;
  for (const auto& [local, path] : paths_)
    for (const auto& [listener, lease] : path.leases)
      if (lease.told) out.emplace_back(listener, *lease.told);
  return out;
}

Task<> Mapper::run() {
  while (!is_stopping_) {
    // Only another network interrupts it, and then we look again at once.
    (void)co_await rounds_.run(env_, round());
    if (is_stopping_) break;
    has_looked_ = true;
    auto waiting = woken_.wait();
    const auto wait = std::max(next_due() - env_.now(), Duration(0));
    const auto woken = co_await with_timeout(env_, wait, std::move(waiting));
    if (!woken && woken.error() != Errc::timed_out) co_return woken.error();
  }
  co_return ok;
}

void Mapper::age_leases() {
  const auto slept = env_.slept() - slept_;
  slept_ += slept;
  if (slept == Duration(0)) return;
  for (auto& [local, path] : paths_) {
    for (auto& [listener, lease] : path.leases) {
      for (auto& leg : lease.legs) {
        leg.renew_at -= slept;
        if (leg.expires_at != TimePoint::max()) leg.expires_at -= slept;
      }
    }
  }
}

Task<> Mapper::round() {
  age_leases();
  const bool is_new = std::exchange(is_network_new_, false);
  PYRSIA_CO_TRY(co_await find_paths());
  if (paths_.empty()) metrics_.no_gateway.add();
  if (is_new) refusals_.clear();
  // At once: a router that is silent, of one family perhaps, keeps no other one waiting.
  std::vector<Task<>> serving;
  for (auto& [local, path] : paths_) {
    if (is_new) path.check_at = env_.now();
    serving.push_back(serve(path));
  }
  co_await run_all(env_, std::move(serving));
  co_return ok;
}

std::vector<NetworkId> Mapper::networks() const {
  std::vector<NetworkId> out;
  const auto interfaces = env_.interface_addresses();
  for (const auto& gateway : env_.default_gateways()) {
    std::vector<InterfaceAddress> fitting;
    for (const auto& each : interfaces) {
      if (each.interface_name != gateway.interface_name) continue;
      if (each.ip.is_v6() != gateway.ip.is_v6()) continue;
      if (each.ip.is_v6() && !classifier_.is_usable_by_others(each.ip)) continue;
      const bool is_beside = each.ip.is_v4() && gateway.ip.is_in(each.ip, each.prefix_bits);
      fitting.insert(is_beside ? fitting.begin() : fitting.end(), each);
    }
    // Of IPv4 one address is enough; of IPv6 each is an address of its own outside as well.
    if (gateway.ip.is_v4() && fitting.size() > 1) fitting.resize(1);
    for (const auto& local : fitting) {
      const auto known = std::ranges::find(out, local, &NetworkId::local);
      if (known == out.end() && out.size() < config_.max_paths) out.push_back({gateway, local});
    }
  }
  return out;
}

Task<> Mapper::find_paths() {
  const auto wanted = networks();
  for (auto at = paths_.begin(); at != paths_.end();) {
    const auto& network = at->second.network;
    const bool is_wanted =
        std::ranges::any_of(wanted, [&](const NetworkId& each) { return is_same(each, network); });
    if (is_wanted) {
      ++at;
      continue;
    }
    PYRSIA_CO_TRY(co_await drop(at->second));
    at = paths_.erase(at);
  }
  for (const auto& network : wanted) {
    const auto [at, is_new] = paths_.try_emplace(network.local.ip, env_.executor());
    if (!is_new) continue;
    metrics_.rounds.add();
    at->second.network = network;
    at->second.routers.push_back(router_for(network, recall(network)));
    at->second.check_at = env_.now() + config_.check_interval;
  }
  co_return ok;
}

/// Its network is no more: whatever was mapped there cannot even be taken away.
Task<> Mapper::drop(Path& path) {
  for (auto& [listener, lease] : path.leases) {
    lease.legs.clear();
    tell(path, listener, lease);
  }
  path.leases.clear();
  refusals_.clear();
  for (auto& router : path.routers) PYRSIA_CO_TRY(co_await router->stop());
  for (auto& router : path.failed) PYRSIA_CO_TRY(co_await router->stop());
  co_return ok;
}

Recalled Mapper::recall(const NetworkId& network) const {
  return memory_.recall ? memory_.recall(network) : Recalled();
}

std::unique_ptr<Router> Mapper::router_for(const NetworkId& network,
                                           const Recalled& recalled) const {
  const Route route{network.local.ip, network.local.ip, network.gateway.ip};
  std::optional<Route> upnp_route;
  if (route.server.is_v4()) {
    upnp_route = route;
  } else {
    // UPnP opens IPv6 pinholes too, but is spoken over IPv4.
    for (const auto& each : networks())
      if (each.gateway.ip.is_v4() && each.gateway.interface_name == network.gateway.interface_name)
        upnp_route = Route{each.local.ip, each.local.ip, each.gateway.ip};
  }
  return std::make_unique<Router>(context_, config_.router, route, upnp_route, recalled);
}

Task<> Mapper::search_anew(Path& path) {
  metrics_.rounds.add();
  path.is_suspect = false;
  for (auto& router : path.failed) PYRSIA_CO_TRY(co_await router->stop());
  path.failed.clear();
  for (std::size_t hop = 0; hop < path.routers.size(); ++hop) {
    auto& router = path.routers[hop];
    PYRSIA_CO_TRY(co_await router->stop());
    Recalled recalled;
    recalled.method = router->method();
    recalled.nonce = router->nonce();  // Our mappings there are known by it.
    router =
        hop == 0 ? router_for(path.network, recalled) : next_router_for(router->route(), recalled);
  }
  co_return ok;
}

std::unique_ptr<Router> Mapper::next_router_for(const Route& route,
                                                const Recalled& recalled) const {
  const bool is_anycast = route.server == kAnycast;
  auto config = config_.router;
  if (is_anycast) std::erase_if(config.methods, [](Method m) { return m != Method::pcp; });
  const auto upnp_route = is_anycast ? std::nullopt : std::optional(route);
  return std::make_unique<Router>(context_, config, route, upnp_route, recalled);
}

/// Routers beyond that give nothing any more, or know us by an address that is no more ours.
Task<> Mapper::leave_routers(Path& path, std::size_t hop, IpAddress client) {
  if (hop == 0 || hop >= path.routers.size()) co_return ok;
  const auto& router = *path.routers[hop];
  if (!router.is_over() && router.route().client == client) co_return ok;
  while (path.routers.size() > hop) {
    PYRSIA_CO_TRY(co_await path.routers.back()->stop());
    path.routers.pop_back();
  }
  co_return ok;
}

Task<> Mapper::sort_listeners(Path& path) {
  std::vector<Listener> wanted;
  for (const auto& listener : listeners_) {
    const Listener own{listener.transport, {path.network.local.ip, listener.at.port}};
    if (belongs_to(listener, path.network.local.ip)) wanted.push_back(own);
  }
  std::vector<Listener> gone;
  for (const auto& [listener, lease] : path.leases)
    if (std::ranges::find(wanted, listener) == wanted.end()) gone.push_back(listener);
  for (const auto& listener : gone) {
    PYRSIA_CO_TRY(co_await remove(path, listener));
    path.leases.erase(listener);
  }
  for (const auto& listener : wanted) path.leases.try_emplace(listener);
  co_return ok;
}

Task<> Mapper::serve(Path& path) {
  PYRSIA_CO_TRY(co_await sort_listeners(path));
  if (env_.now() >= path.check_at && !path.leases.empty()) PYRSIA_CO_TRY(co_await check(path));
  // Once for all of them: each would wait for the same silence.
  if (is_search_due(path)) PYRSIA_CO_TRY(co_await search_anew(path));
  for (auto& [listener, lease] : path.leases) {
    if (lease.legs.empty()) {
      if (env_.now() >= lease.try_at) PYRSIA_CO_TRY(co_await make(path, listener));
    } else {
      PYRSIA_CO_TRY(co_await renew(path, listener));
    }
    tell(path, listener, lease);
  }
  for (std::size_t i = 0; i < path.routers.size(); ++i) {
    if (!path.routers[i]->take_restart()) continue;
    log_.info("the router has restarted",
              {{"router", path.routers[i]->route().server.to_string()}});
    restarted(path, i);
  }
  if (path.is_suspect) PYRSIA_CO_TRY(co_await search_anew(path));
  co_return ok;
}

void Mapper::renew_all(Path& path, std::size_t hop, TimePoint at) {
  for (auto& [listener, lease] : path.leases)
    if (hop < lease.legs.size()) lease.legs[hop].renew_at = std::min(lease.legs[hop].renew_at, at);
}

void Mapper::restarted(Path& path, std::size_t hop) {
  const auto at = path.pace.next(env_.now());
  renew_all(path, hop, at);
  for (auto& [listener, lease] : path.leases)
    if (lease.legs.empty()) lease.try_at = std::min(lease.try_at, at);
}

bool Mapper::is_search_due(const Path& path) const {
  const auto is_due = [this](const auto& entry) {
    return !external_of(entry.second) && env_.now() >= entry.second.try_at;
  };
  const auto has_leg = [](const auto& entry) { return !entry.second.legs.empty(); };
  const auto has_failed = [](const auto& entry) { return !entry.second.failure.empty(); };
  if (std::ranges::none_of(path.leases, is_due)) return false;
  return path.routers.front()->is_over() || (std::ranges::none_of(path.leases, has_leg) &&
                                             std::ranges::any_of(path.leases, has_failed));
}

Task<> Mapper::look_after(Path& path, std::size_t hop) {
  auto& router = *path.routers[hop];
  if (!router.method()) co_return ok;
  bool has_pcp = false;
  bool has_nat_pmp = false;
  bool has_leg = false;
  for (auto& [listener, lease] : path.leases) {
    if (hop >= lease.legs.size()) continue;
    has_leg = true;
    auto& leg = lease.legs[hop];
    const auto method = leg.grant->method;
    // UPnP tells of no restart, and PCP tells its outside address with a mapping only: to renew one
    // is the question.
    if (method == Method::upnp || (method == Method::pcp && !std::exchange(has_pcp, true)))
      leg.renew_at = std::min(leg.renew_at, env_.now());
    has_nat_pmp = has_nat_pmp || method == Method::nat_pmp;
  }
  const bool is_asked = path.was_announced && !has_leg;
  if (!has_nat_pmp && !is_asked) co_return ok;
  const auto presence = co_await router.check(has_nat_pmp ? Method::nat_pmp : Method::pcp);
  if (!presence && presence.error() == Errc::cancelled) co_return presence.error();
  // A line that was cut for a moment has another address, and the router has not restarted.
  const auto is_elsewhere = [&](const auto& entry) {
    return hop < entry.second.legs.size() && presence->external &&
           entry.second.legs[hop].grant->external.ip != *presence->external;
  };
  if (!presence || std::ranges::any_of(path.leases, is_elsewhere)) renew_all(path, hop, env_.now());
  if (router.take_restart()) restarted(path, hop);
  co_return ok;
}

Task<> Mapper::check(Path& path) {
  path.check_at = env_.now() + config_.check_interval;
  for (std::size_t i = 0; i < path.routers.size(); ++i) PYRSIA_CO_TRY(co_await look_after(path, i));
  path.was_announced = false;
  co_return ok;
}

Task<> Mapper::make(Path& path, const Listener& listener) {
  auto& lease = path.leases.at(listener);
  lease.legs.clear();
  auto internal = listener.at;
  std::string why;
  for (std::size_t hop = 0; hop < config_.max_hops; ++hop) {
    PYRSIA_CO_TRY(co_await leave_routers(path, hop, internal.ip));
    if (hop == path.routers.size()) PYRSIA_CO_TRY(co_await find_next_hop(path, internal.ip));
    if (hop == path.routers.size()) break;
    Leg leg;
    leg.request.transport = listener.transport;
    leg.request.internal = internal;
    leg.request.suggested.port = listener.at.port;
    leg.request.lifetime = config_.lifetime;
    const auto grant = co_await path.routers[hop]->map(leg.request, why);
    if (!grant && grant.error() == Errc::cancelled) co_return grant.error();
    if (!grant) break;
    // A mapping of ours leads outside in its own family; anything else nobody could dial.
    const bool is_other_family = grant->external.ip.is_v6() != internal.ip.is_v6();
    if (is_other_family || is_lie(classifier_, grant->external.ip)) {
      metrics_.lies.add();
      why = words_of_lie(path.routers[hop]->route().server, grant->external.ip);
      std::string ignored;
      const auto removed = co_await path.routers[hop]->unmap(leg.request, *grant, ignored);
      if (!removed && removed.error() == Errc::cancelled) co_return removed.error();
      if (!removed) metrics_.removals_failed.add();
      break;
    }
    metrics_.granted.add();
    granted(leg, *grant);
    lease.legs.push_back(std::move(leg));
    if (classifier_.is_usable_by_others(grant->external.ip)) {
      if (hop > 0) metrics_.nested.add();
      lease.failure.clear();
      lease.back_off = Duration(0);
      remember(path, lease.legs.front().grant->method);
      co_return ok;
    }
    internal = grant->external;
  }
  failed(lease, std::move(why));
  co_return ok;
}

void Mapper::granted(Leg& leg, const Grant& grant) {
  leg.grant = grant;
  const bool has_end = grant.lifetime > Duration(0);
  leg.renew_at = renewal_time(has_end ? grant.lifetime : 2 * kPermanentRenewal);
  leg.expires_at = has_end ? env_.now() + grant.lifetime : TimePoint::max();
}

/// After half of it, and up to an eighth. RFC 6887, section 11.2.1.
TimePoint Mapper::renewal_time(Duration left) {
  const auto jitter = left / 8000 * static_cast<std::int64_t>(env_.random_below(1001));
  return env_.now() + std::max(left / 2 + jitter, kMinRenewal);
}

void Mapper::failed(Lease& lease, std::string why) {
  lease.failure = std::move(why);
  lease.back_off = lease.back_off == Duration(0) ? config_.first_retry
                                                 : std::min(lease.back_off * 2, config_.last_retry);
  lease.try_at = env_.now() + lease.back_off;
  log_.debug("no mapping", {{"why", lease.failure}});
}

Task<> Mapper::renew(Path& path, const Listener& listener) {
  auto& lease = path.leases.at(listener);
  // A chain that ends in no usable address is tried anew, as one, when its time comes.
  if (!external_of(lease) && env_.now() >= lease.try_at) co_return co_await make(path, listener);
  for (std::size_t i = 0; i < lease.legs.size(); ++i) {
    auto& leg = lease.legs[i];
    if (env_.now() < leg.renew_at) continue;
    std::string why;
    Error error = Errc::unavailable;
    if (i < path.routers.size()) {
      const auto grant = co_await path.routers[i]->renew(leg.request, *leg.grant, why);
      if (grant && grant->external == leg.grant->external) {
        metrics_.renewed.add();
        granted(leg, *grant);
        continue;
      }
      // Another address or port outside: what is built on it has to be built anew, and what else
      // had that address has lost it too.
      if (grant) {
        if (grant->external.ip != leg.grant->external.ip)
          renew_all(path, i, path.pace.next(env_.now()));
        PYRSIA_CO_TRY(co_await take_away(path, lease, i + 1));
        co_return co_await make(path, listener);
      }
      error = grant.error();
    } else {
      co_return co_await make(path, listener);
    }
    if (error == Errc::cancelled) co_return error;
    metrics_.renewals_failed.add();
    path.is_suspect = true;
    const auto now = env_.now();
    // Who refuses has forgotten it; who is silent may still hold it until it ends.
    const bool is_gone = now >= leg.expires_at || error == Errc::refused;
    if (is_gone) {
      // What the other routers have is of no use without it.
      PYRSIA_CO_TRY(co_await take_away(path, lease, i + 1));
      lease.legs.pop_back();
      PYRSIA_CO_TRY(co_await take_away(path, lease, 0));
      failed(lease, "the mapping could not be renewed: " + why);
      co_return ok;
    }
    const auto left = leg.expires_at == TimePoint::max() ? kPermanentRenewal : leg.expires_at - now;
    leg.renew_at = std::min(renewal_time(left), leg.expires_at);
  }
  co_return ok;
}

Task<> Mapper::find_next_hop(Path& path, IpAddress external) {
  const auto local = path.network.local.ip;
  for (auto& router : path.failed) PYRSIA_CO_TRY(co_await router->stop());
  path.failed.clear();
  for (const auto& server : likely_hops(external)) {
    Recalled recalled;
    recalled.nonce = path.routers.front()->nonce();  // The one that is kept over a restart of ours.
    auto router = next_router_for({local, external, server}, recalled);
    if (router->attempts().empty()) continue;
    path.failed.push_back(std::move(router));
    path.failed.back()->begin([&path] { path.hop_progress.notify(); });
  }
  const auto deadline = env_.now() + config_.router.budget + config_.router.grace;
  for (;;) {
    const auto answered = std::ranges::find_if(
        path.failed, [](const auto& router) { return router->has_answered(); });
    if (answered != path.failed.end()) {
      path.routers.push_back(std::move(*answered));
      path.failed.erase(answered);
      co_return ok;
    }
    const bool is_over =
        std::ranges::all_of(path.failed, [](const auto& router) { return router->is_over(); });
    if (is_over || env_.now() >= deadline) co_return ok;
    auto waiting = path.hop_progress.wait();
    const auto woken = co_await with_timeout(env_, config_.router.grace, std::move(waiting));
    if (!woken && woken.error() != Errc::timed_out) co_return woken.error();
  }
}

Task<> Mapper::take_away(Path& path, Lease& lease, std::size_t hop) {
  while (lease.legs.size() > hop) {
    const auto last = lease.legs.size() - 1;
    if (last < path.routers.size()) {
      const auto leg = lease.legs.back();
      std::string why;
      const auto removed = co_await path.routers[last]->unmap(leg.request, *leg.grant, why);
      if (!removed && removed.error() == Errc::cancelled) co_return removed.error();
      (removed ? metrics_.removed : metrics_.removals_failed).add();
    }
    lease.legs.pop_back();
  }
  co_return ok;
}

Task<> Mapper::remove(Path& path, Listener listener) {
  auto lease = std::move(path.leases.at(listener));
  path.leases.at(listener) = {};
  PYRSIA_CO_TRY(co_await take_away(path, lease, 0));
  tell(path, listener, lease);
  co_return ok;
}

/// All at once: a silent router must not keep the next one from being asked.
Task<> Mapper::remove_all() {
  for (auto& entry : paths_) tasks_.spawn(remove_leases(entry.second));
  co_return co_await tasks_.wait_until_empty();
}

Task<> Mapper::remove_leases(Path& path) {
  for (const auto& [listener, lease] : path.leases) {
    for (std::size_t hop = 0; hop < std::min(lease.legs.size(), path.routers.size()); ++hop) {
      // It may be searched anew just now. Before the rest, as one task only may wait for that.
      const auto found = co_await path.routers[hop]->find(lease.legs[hop].grant->method);
      if (!found && found.error() == Errc::cancelled) co_return found.error();
    }
  }
  for (const auto& [listener, lease] : path.leases) tasks_.spawn(remove(path, listener));
  co_return ok;
}

Task<> Mapper::listen_for_restarts() {
  const Endpoint any{IpAddress::v4_any(), pcp::kClientPort};
  // Another program of this machine may have the port: then our own questions have to do.
  PYRSIA_CO_TRY(const auto socket, env_.udp_bind(any));
  std::array<std::uint8_t, pcp::kMaxMessageBytes> buffer;
  for (;;) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket->receive(buffer));
    const auto is_router = [&](const auto& entry) {
      return entry.second.network.gateway.ip == datagram.from.ip;
    };
    if (std::ranges::none_of(paths_, is_router)) continue;
    context_.say("from " + datagram.from.to_string() + ": " + std::to_string(datagram.size) +
                 " bytes, perhaps word of a restart");
    // It only makes us ask: anybody here could have sent it.
    const auto jitter = static_cast<std::uint64_t>(config_.restart_jitter.count());
    const auto pause = kAnnouncePause + Duration(env_.random_below(jitter + 1));
    PYRSIA_CO_TRY(co_await env_.sleep_for(pause));
    for (auto& entry : paths_) {
      if (!is_router(entry)) continue;
      entry.second.check_at = env_.now();
      entry.second.was_announced = true;
    }
    woken_.notify();
  }
}

void Mapper::tell(Path& path, const Listener& listener, Lease& lease) {
  const auto now = external_of(lease);
  if (now == lease.told) return;
  MappingEvent event;
  event.kind = !now          ? MappingEvent::Kind::lost
               : !lease.told ? MappingEvent::Kind::gained
                             : MappingEvent::Kind::changed;
  event.listener = listener;
  event.external = now ? *now : *lease.told;
  event.method = method_of(path, lease);
  if (!now) metrics_.lost.add();
  lease.told = now;
  lease.verdict.reset();
  event.words = now ? words_of(path, lease, MappingStatus::State::granted) : lease.failure;
  observer_.on_mapping(event);
}

void Mapper::remember(const Path& path, Method method) {
  if (!memory_.remember) return;
  Recalled recalled;
  recalled.method = method;
  recalled.nonce = path.routers.front()->nonce();
  memory_.remember(path.network, recalled);
}

Method Mapper::method_of(const Path& path, const Lease& lease) {
  if (!lease.legs.empty()) return lease.legs.back().grant->method;
  return path.routers.back()->method().value_or(Method::pcp);
}

std::optional<Endpoint> Mapper::external_of(const Lease& lease) const {
  if (lease.legs.empty() || !lease.legs.back().grant) return std::nullopt;
  const auto& external = lease.legs.back().grant->external;
  if (!classifier_.is_usable_by_others(external.ip)) return std::nullopt;
  return external;
}

TimePoint Mapper::next_due() const {
  // Without a router: the host tells of changes, and who has none to tell is looked after too.
  auto due = env_.now() + config_.check_interval;
  for (const auto& [local, path] : paths_) {
    due = std::min(due, path.check_at);
    for (const auto& [listener, lease] : path.leases) {
      if (!external_of(lease)) due = std::min(due, lease.try_at);
      for (const auto& leg : lease.legs) due = std::min(due, leg.renew_at);
    }
  }
  return due;
}

}  // namespace pyrsia::portmap

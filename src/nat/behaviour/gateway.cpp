#include "nat/behaviour/gateway.hpp"

#include "nat/portmap/place.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::nat {
namespace {

using portmap::Attempt;
using portmap::Method;

/// Whoever answers that he cannot is there.
bool is_there(const Attempt& attempt) {
  return attempt.state == Attempt::State::found || attempt.error == Errc::unavailable ||
         attempt.lacks_outside || attempt.has_nat_between;
}

/// A lie is no address: it stands for none.
void take_outside_into(GatewayFacts& facts, const AddressClassifier& classifier,
                       const IpAddress& external) {
  if (portmap::is_lie(classifier, external)) {
    facts.has_outside = facts.has_outside.value_or(false);
  } else {
    facts.external_ip = external;
    facts.has_outside = true;
  }
}

/// Of an endpoint as text.
std::optional<IpAddress> ip_in(std::string_view endpoint) {
  auto text = endpoint.substr(0, std::min(endpoint.rfind(':'), endpoint.size()));
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const auto ip = IpAddress::parse(text);
  return ip ? std::optional(*ip) : std::nullopt;
}

}  // namespace

GatewayProbe::GatewayProbe(Env& env, const GatewayConfig& config,
                           const AddressClassifier& classifier)
    : env_(env), config_(config), classifier_(classifier), context_{env, metrics_, {}} {}

portmap::RouterConfig GatewayProbe::router_config(Duration budget) const {
  portmap::RouterConfig config;
  config.budget = budget;
  config.map_timeout = config_.map_timeout;
  return config;
}

Task<> GatewayProbe::stop() {
  if (router_) (void)co_await router_->stop();
  for (const auto& router : beyond_) (void)co_await router->stop();
  co_return ok;
}

Task<GatewayFacts> GatewayProbe::run() {
  const auto looked = co_await with_timeout(env_, config_.limit, look());
  if (!looked && looked.error() != Errc::timed_out) co_return looked.error();
  if (!looked && !facts_.is_mapped && facts_.mapping_why.empty())
    facts_.mapping_why = "it had not answered when the time was over";
  co_return facts_;
}

Task<> GatewayProbe::look() {
  const auto network = portmap::main_network(env_);
  if (!network) {
    facts_.mapping_why = "no router to ask: this machine has no default route";
    co_return ok;
  }
  const auto local = network->local.ip;
  const portmap::Route route{local, local, network->gateway.ip};
  facts_.router = route.server;
  std::optional<portmap::Route> upnp_route;
  if (local.is_v4()) upnp_route = route;
  router_ = std::make_unique<portmap::Router>(context_, router_config(config_.budget), route,
                                              upnp_route, portmap::Recalled());
  PYRSIA_CO_TRY(co_await router_->find_all());
  take_attempts(router_->attempts());
  if (router_->has_answered()) PYRSIA_CO_TRY(co_await try_mapping(route));
  const auto& outside = facts_.external_ip;
  if (outside && !classifier_.is_usable_by_others(*outside))
    PYRSIA_CO_TRY(co_await look_for_second(route));
  co_return ok;
}

void GatewayProbe::take_outside(const IpAddress& external) {
  take_outside_into(facts_, classifier_, external);
  if (portmap::is_lie(classifier_, external) && facts_.router)
    facts_.mapping_why = portmap::words_of_lie(*facts_.router, external);
}

void GatewayProbe::take_attempts(const std::vector<Attempt>& attempts) {
  for (const auto& attempt : attempts) {
    switch (attempt.method) {
      case Method::pcp: facts_.has_pcp = is_there(attempt); break;
      case Method::nat_pmp: facts_.has_nat_pmp = is_there(attempt); break;
      case Method::upnp: facts_.has_upnp = is_there(attempt); break;
    }
    if (attempt.external && !facts_.external_ip) take_outside(*attempt.external);
    if (attempt.lacks_outside && !facts_.external_ip) facts_.has_outside = false;
    if (!attempt.name.empty()) facts_.name = attempt.name;
    if (attempt.state == Attempt::State::failed && is_there(attempt))
      facts_.mapping_why = attempt.words;
  }
  if (router_->is_over()) {
    facts_.is_mapped = false;
    if (facts_.mapping_why.empty())
      facts_.mapping_why = "it answers neither PCP nor NAT-PMP nor UPnP";
  }
}

Task<> GatewayProbe::try_mapping(const portmap::Route& route) {
  // A port of our own, so that nobody else's is opened by mistake.
  const Endpoint any{route.local, 0};
  const auto socket = env_.udp_bind(any);
  if (!socket) {
    facts_.mapping_why = "not tried, for want of a port: " + socket.error().message();
    co_return ok;
  }
  portmap::MapRequest request;
  request.transport = portmap::Transport::udp;
  request.internal = {route.local, (*socket)->local().port};
  request.suggested.port = request.internal.port;
  request.lifetime = config_.lifetime;
  std::string why;
  const auto grant = co_await router_->map(request, why);
  if (!grant && grant.error() == Errc::cancelled) co_return grant.error();
  if (!grant) {
    // Silence is no refusal: this may be a slow one.
    const auto refuses = [](const Attempt& attempt) { return attempt.error != Errc::timed_out; };
    if (std::ranges::any_of(router_->attempts(), refuses)) facts_.is_mapped = false;
    facts_.mapping_why = why;
    for (const auto& attempt : router_->attempts())
      if (attempt.lacks_outside && !facts_.external_ip) facts_.has_outside = false;
    co_return ok;
  }
  take_grant(*grant);
  const auto removed = co_await router_->unmap(request, *grant, why);
  // If it stays, it ends in a minute.
  if (!removed && removed.error() == Errc::cancelled) co_return removed.error();
  co_return ok;
}

void GatewayProbe::take_grant(const portmap::Grant& grant) {
  const auto outside = grant.external.ip;
  facts_.is_mapped = classifier_.is_usable_by_others(outside);
  take_outside(outside);
  if (portmap::is_lie(classifier_, outside)) return;
  facts_.mapping_why =
      "by " + std::string(portmap::name(grant.method)) + ", at " + outside.to_string();
  if (facts_.is_mapped == false)
    facts_.mapping_why += ", which others cannot reach: another router is beyond this one";
}

Task<> GatewayProbe::look_for_second(const portmap::Route& route) {
  const auto outside = *facts_.external_ip;
  for (const auto& server : portmap::likely_hops(outside)) {
    const portmap::Route hop{route.local, outside, server};
    auto config = router_config(config_.hop_budget);
    std::optional<portmap::Route> upnp_route = hop;
    if (server == portmap::kAnycast) {
      config.methods = {Method::pcp};
      upnp_route.reset();
    }
    beyond_.push_back(
        std::make_unique<portmap::Router>(context_, config, hop, upnp_route, portmap::Recalled()));
    beyond_.back()->begin([] {});
  }
  for (const auto& router : beyond_) PYRSIA_CO_TRY(co_await router->find_all());
  for (const auto& router : beyond_) {
    if (std::ranges::none_of(router->attempts(), is_there)) continue;
    facts_.second_router = router->route().server;
    co_return ok;
  }
  co_return ok;
}

GatewayFacts gateway_facts(const PortMappingReport& report, const AddressClassifier& classifier) {
  GatewayFacts facts;
  facts.mapping_why = report.reason;
  for (const auto& attempt : report.attempts) {
    const auto server = IpAddress::parse(attempt.router);
    if (!server || attempt.state == "asking") continue;
    const bool is_found = attempt.state == "found";
    if (!facts.router) facts.router = *server;
    if (*facts.router != *server) {
      if (is_found) facts.second_router = *server;
      continue;
    }
    auto& has = attempt.protocol == "pcp"       ? facts.has_pcp
                : attempt.protocol == "nat-pmp" ? facts.has_nat_pmp
                                                : facts.has_upnp;
    has = has.value_or(false) || is_found || attempt.lacks_outside || attempt.has_nat_between;
    if (const auto outside = IpAddress::parse(attempt.external); outside && !facts.external_ip)
      take_outside_into(facts, classifier, *outside);
    if (attempt.lacks_outside && !facts.external_ip) facts.has_outside = false;
    if (!attempt.name.empty()) facts.name = attempt.name;
  }
  for (const auto& mapping : report.mappings) {
    const bool is_open = mapping.state == "granted" || mapping.state == "confirmed";
    if (mapping.state == "searching" || (facts.is_mapped == true && !is_open)) continue;
    facts.is_mapped = is_open;
    facts.mapping_why = mapping.reason;
    const auto outside = ip_in(mapping.external);
    if (outside && mapping.routers.size() == 1) take_outside_into(facts, classifier, *outside);
  }
  return facts;
}

}  // namespace pyrsia::nat

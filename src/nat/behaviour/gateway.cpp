#include "nat/behaviour/gateway.hpp"

#include "nat/portmap/place.hpp"

#include <algorithm>

namespace pyrsia::nat {
namespace {

using portmap::Attempt;
using portmap::Method;

/// Whoever answers that he cannot is there.
bool is_there(const Attempt& attempt) {
  return attempt.state == Attempt::State::found || attempt.error == Errc::unavailable;
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
  const auto network = portmap::main_network(env_);
  if (!network) {
    facts_.mapping_why = "no router to ask: this machine has no default route";
    co_return facts_;
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
  co_return facts_;
}

void GatewayProbe::take_attempts(const std::vector<Attempt>& attempts) {
  for (const auto& attempt : attempts) {
    switch (attempt.method) {
      case Method::pcp: facts_.has_pcp = is_there(attempt); break;
      case Method::nat_pmp: facts_.has_nat_pmp = is_there(attempt); break;
      case Method::upnp: facts_.has_upnp = is_there(attempt); break;
    }
    if (attempt.external && !facts_.external_ip) facts_.external_ip = attempt.external;
    if (!attempt.name.empty()) facts_.name = attempt.name;
    if (attempt.state == Attempt::State::failed && attempt.error == Errc::unavailable)
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
  PYRSIA_CO_TRY(const auto socket, env_.udp_bind(any));
  portmap::MapRequest request;
  request.transport = portmap::Transport::udp;
  request.internal = {route.local, socket->local().port};
  request.suggested.port = request.internal.port;
  request.lifetime = config_.lifetime;
  std::string why;
  const auto grant = co_await router_->map(request, why);
  if (!grant && grant.error() == Errc::cancelled) co_return grant.error();
  if (!grant) {
    facts_.is_mapped = false;
    facts_.mapping_why = why;
    co_return ok;
  }
  take_grant(*grant, router_->method().value_or(Method::pcp));
  const auto removed = co_await router_->unmap(request, *grant, why);
  // If it stays, it ends in a minute.
  if (!removed && removed.error() == Errc::cancelled) co_return removed.error();
  co_return ok;
}

void GatewayProbe::take_grant(const portmap::Grant& grant, Method method) {
  const auto outside = grant.external.ip;
  if (!outside.is_unspecified()) facts_.external_ip = outside;
  facts_.is_mapped = classifier_.is_usable_by_others(outside);
  facts_.mapping_why = "by " + std::string(portmap::name(method)) + ", at " + outside.to_string();
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

}  // namespace pyrsia::nat

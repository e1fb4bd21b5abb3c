#include "nat/behaviour/survey.hpp"

#include "multi/address_class.hpp"
#include "nat/behaviour/lifetime.hpp"
#include "nat/behaviour/nat64.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::nat {
namespace {

constexpr int kPortalRedirects = 3;
/// So many silent servers are not all dead where the Internet works.
constexpr std::size_t kServersToBelieve = 2;

IpAddress any_of(bool is_v6) {
  return is_v6 ? IpAddress::v6_any() : IpAddress::v4_any();
}

/// That packets to the world leave from, where there is no choice: none, or several, is nothing.
std::optional<IpAddress> only_address(Env& env, bool is_v6) {
  const auto gateways = env.default_gateways();
  const auto leads_out = [&](const InterfaceAddress& each) {
    const auto is_its = [&](const Gateway& gateway) {
      return gateway.ip.is_v6() == is_v6 && gateway.interface_name == each.interface_name;
    };
    return each.ip.is_v6() == is_v6 && std::ranges::any_of(gateways, is_its) &&
           AddressClassifier().classify(each.ip) >= AddressClass::private_use;
  };
  std::optional<IpAddress> found;
  for (const auto& each : env.interface_addresses()) {
    if (!leads_out(each)) continue;
    if (found) return std::nullopt;
    found = each.ip;
  }
  return found;
}

}  // namespace

Survey::Survey(Env& env, SurveyConfig config)
    : env_(env), config_(std::move(config)), tasks_(env) {}

Survey::~Survey() = default;

Task<> Survey::stop() {
  tasks_.cancel();
  (void)co_await tasks_.join();
  if (prober_) (void)co_await prober_->stop();
  if (v6_prober_) (void)co_await v6_prober_->stop();
  if (lifetime_) (void)co_await lifetime_->stop();
  if (gateway_) (void)co_await gateway_->stop();
  if (hops_) (void)co_await hops_->stop();
  co_return ok;
}

std::vector<Endpoint> Survey::servers_of(bool is_v6) const {
  std::vector<Endpoint> servers;
  for (const auto& server : config_.servers)
    if (server.ip.is_v6() == is_v6) servers.push_back(server);
  return servers;
}

Task<Report> Survey::run() {
  const auto start = env_.now();
  report_.servers = config_.servers;
  report_.unresolved = config_.unresolved;
  const bool is_v4_out_of_reach = has_ipv6_only(env_);
  uses_v6_alone_ = servers_of(false).empty() || (is_v4_out_of_reach && !servers_of(true).empty());
  needs_nat64_ = is_v4_out_of_reach && !uses_v6_alone_;
  hops_ = std::make_unique<HopProbe>(env_, servers_of(uses_v6_alone_), config_.hops);
  for (const auto& url : config_.status_urls) tasks_.spawn(look_for_portal(url));
  if (!needs_nat64_) tasks_.spawn(look_for_nat64());
  tasks_.spawn(look_over_v6());
  tasks_.spawn(trace_hops());
  if (config_.asks_gateway) tasks_.spawn(ask_gateway());
  if (!config_.asks_gateway) report_.gateway.mapping_why = "port mapping is off";
  for (const auto& server : config_.tls_servers) tasks_.spawn(ask_over_tls(server));
  tasks_.spawn(probe_transports());
  PYRSIA_CO_TRY(co_await tasks_.wait_until_empty());
  if (failure_) co_return failure_;
  judge();
  report_.took = env_.now() - start;
  co_return report_;
}

void Survey::judge() {
  // The same servers were asked over both.
  if (report_.udp.is_blocked != false && report_.tcp.is_blocked == false)
    report_.udp.is_blocked = true;
  judge_v6();
  // Whoever it was that answered, he keeps nobody in.
  if (report_.is_captive == true && internet_works(report_)) report_.is_captive = false;
  report_.interface_ip =
      report_.tcp.local ? std::optional(report_.tcp.local->ip) : only_address(env_, uses_v6_alone_);
  if (report_.interface_ip && report_.udp.mapped)
    report_.udp.local = Endpoint{*report_.interface_ip, 0};
  report_.position = position_of(report_);
}

/// Silence alone is no proof: a server may be dead.
void Survey::judge_v6() {
  if (report_.has_ipv6) return;
  const bool is_proof = servers_of(true).size() >= kServersToBelieve && internet_works(report_);
  if (is_proof || !has_ipv6_address(env_)) report_.has_ipv6 = false;
}

Task<> Survey::look_for_portal(std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.timeout = config_.side_limit;
  // A redirect alone says nothing: servers send people from http to https. Where it ends does.
  request.max_redirects = kPortalRedirects;
  auto get = env_.http_get(std::move(request), nullptr);
  const auto response = co_await std::move(get);
  // No boot server tells that much, but the pages of portals do.
  const bool is_too_large = !response && response.error() == Errc::too_large;
  if (!response && !is_too_large) co_return response.error();
  const auto is_portal = is_too_large ? true : is_portal_answer(*response);
  // One that lets a single boot server's answer pass is none.
  if (is_portal) report_.is_captive = report_.is_captive.value_or(true) && *is_portal;
  co_return ok;
}

Task<> Survey::look_for_nat64() {
  if (!config_.advertised_nat64.empty()) {
    report_.has_nat64 = true;
    report_.nat64_prefix = config_.advertised_nat64;
    co_return ok;
  }
  const auto found = co_await with_timeout(env_, config_.side_limit, find_nat64(env_));
  if (!found) co_return found.error();
  report_.has_nat64 = found->has_value();
  if (*found) report_.nat64_prefix = (*found)->to_string();
  co_return ok;
}

Task<> Survey::look_over_v6() {
  const auto servers = servers_of(true);
  if (servers.empty() || uses_v6_alone_) co_return ok;  // Then probe_transports() asks these.
  v6_prober_ = std::make_unique<Prober>(env_, servers, any_of(true), config_.prober);
  PYRSIA_CO_TRY(const auto udp, co_await v6_prober_->run());
  keep_v6(udp);
  if (!report_.has_ipv6)
    for (const auto& server : servers) tasks_.spawn(ask_v6_over_tcp(server));
  co_return ok;
}

Task<> Survey::ask_v6_over_tcp(Endpoint server) {
  auto asking = stun::ask_over_tcp(env_, server, {});
  PYRSIA_CO_TRY(const auto answer,
                co_await with_timeout(env_, config_.tcp_limit, std::move(asking)));
  if (answer.error || answer.mapped.ip.is_v4()) co_return ok;
  report_.has_ipv6 = true;
  if (!report_.mapped_v6) report_.mapped_v6 = answer.mapped;
  co_return ok;
}

void Survey::keep_v6(const UdpBehaviour& udp) {
  // A server that sees an IPv4 address is behind a NAT64, under a name that a DNS64 has answered.
  if (!udp.mapped || udp.mapped->ip.is_v4()) return;
  report_.has_ipv6 = true;
  report_.mapped_v6 = udp.mapped;
  report_.has_nat_v6 = udp.has_nat;
  report_.filtering_v6 = udp.filtering;
}

Task<> Survey::ask_gateway() {
  auto others = hops_->begun();
  const auto begun = co_await with_timeout(env_, config_.hops_first, std::move(others));
  if (!begun && begun.error() == Errc::cancelled) co_return begun.error();
  gateway_ = std::make_unique<GatewayProbe>(env_, config_.gateway, config_.classifier);
  PYRSIA_CO_TRY(report_.gateway, co_await gateway_->run());
  co_return ok;
}

Task<> Survey::trace_hops() {
  PYRSIA_CO_TRY(report_.hops, co_await hops_->run());
  co_return ok;
}

Task<> Survey::ask_over_tls(TlsServer server) {
  auto asking = stun::ask_over_tcp(env_, server.at, server.secure, config_.tls_limit);
  const auto answer = co_await std::move(asking);
  if (!answer && answer.error() == Errc::cancelled) co_return answer.error();
  const bool has_answered = answer && !answer->error;
  report_.has_tls = report_.has_tls.value_or(false) || has_answered;
  if (has_answered && !report_.mapped_tls) report_.mapped_tls = answer->mapped;
  co_return ok;
}

Task<> Survey::probe_transports() {
  auto servers = servers_of(uses_v6_alone_);
  if (servers.empty()) co_return ok;
  auto& nat64 = config_.prober.nat64;
  if (needs_nat64_) {
    const auto looked = co_await look_for_nat64();
    if (!looked && looked.error() == Errc::cancelled) co_return looked.error();
    nat64 = nat64_prefix_named(report_.nat64_prefix);
  }
  if (nat64) std::ranges::for_each(servers, [&](Endpoint& each) { each = through(*nat64, each); });
  const bool is_v6 = servers.front().ip.is_v6();
  prober_ = std::make_unique<Prober>(env_, servers, any_of(is_v6), config_.prober);
  auto udp = co_await prober_->run();
  if (!udp) {
    failure_ = udp.error();
    co_return udp.error();
  }
  report_.udp = *std::move(udp);
  report_.server = prober_->server();
  if (uses_v6_alone_) keep_v6(report_.udp);
  for (const auto& server : report_.server ? std::vector{*report_.server} : servers)
    tasks_.spawn(ask_over_tcp(server, prober_->other()));
  if (config_.measures_lifetime && report_.server)
    co_return co_await measure_lifetime(*report_.server, any_of(is_v6));
  co_return ok;
}

Task<> Survey::ask_over_tcp(Endpoint server, std::optional<Endpoint> other) {
  auto probing = probe_tcp(env_, server, other, config_.prober.nat64, config_.tcp_limit);
  PYRSIA_CO_TRY(const auto tcp, co_await std::move(probing));
  if (report_.tcp.is_blocked != false) report_.tcp = tcp;
  if (uses_v6_alone_ && tcp.is_blocked == false && tcp.mapped->ip.is_v6()) report_.has_ipv6 = true;
  co_return ok;
}

Task<> Survey::measure_lifetime(Endpoint server, IpAddress any) {
  lifetime_ = std::make_unique<LifetimeProbe>(env_, server, any, LifetimeConfig());
  const auto range = co_await lifetime_->run();
  if (!range && range.error() == Errc::cancelled) co_return range.error();
  if (range) report_.udp.lifetime = *range;
  co_return ok;
}

std::optional<bool> is_portal_answer(const HttpResponse& response) {
  if (response.status == 511) return true;  // Network Authentication Required, RFC 6585.
  const bool is_ours = response.body.find("\"peer_addrs\"") != std::string::npos;
  if (response.status == 200) return !is_ours;
  return std::nullopt;
}

}  // namespace pyrsia::nat

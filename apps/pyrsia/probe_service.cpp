#include "probe_service.hpp"

#include "nat/behaviour/report_document.hpp"
#include "probe_servers.hpp"

#include <utility>

namespace pyrsia::app {
namespace {

constexpr Duration kFresh = std::chrono::seconds(10);
constexpr Duration kWaitLimit = std::chrono::seconds(8);
constexpr Duration kWaitStep = std::chrono::milliseconds(20);

/// Over what peers have got in.
nat::WaysIn ways_of(const NatReport& verdict) {
  nat::WaysIn ways;
  for (const auto& one : verdict.addresses) {
    const auto ip = one.address.ip();
    if (one.status != Reachability::reachable || !ip) continue;
    const bool is_udp = one.address.has(Protocol::udp);
    (ip->is_v6() ? (is_udp ? ways.udp_v6 : ways.tcp_v6) : (is_udp ? ways.udp_v4 : ways.tcp_v4)) =
        true;
  }
  return ways;
}

}  // namespace

ProbeService::ProbeService(Env& env, const Options& options, Known known)
    : env_(env), options_(options), known_(std::move(known)), tasks_(env) {}

Task<> ProbeService::stop() {
  tasks_.cancel();
  (void)co_await tasks_.join();
  if (survey_) (void)co_await survey_->stop();
  survey_.reset();
  co_return ok;
}

Task<> ProbeService::look() {
  const auto network = known_.network_change_count();
  auto config = co_await survey_config(env_, stun_server_names(options_),
                                       options_.host.bootstrap_urls, nullptr);
  if (!config) co_return config.error();
  config->prober.metrics = &metrics_;
  config->asks_gateway = false;  // The host does, all the time.
  const auto nat64 = known_.nat64_prefixes();
  if (!nat64.empty()) config->advertised_nat64 = nat64.front();
  survey_ = std::make_unique<nat::Survey>(env_, *std::move(config));
  auto report = co_await survey_->run();
  if (!report && report.error() == Errc::cancelled) co_return report.error();
  report_ = report ? *std::move(report) : nat::Report();
  report_at_ = env_.now();
  report_network_ = network;
  (void)co_await survey_->stop();
  survey_.reset();
  is_looking_ = false;
  co_return ok;
}

bool ProbeService::is_good(Duration max_age) const {
  return report_ && report_network_ == known_.network_change_count() &&
         env_.now() - report_at_ < max_age;
}

Task<nat::Report> ProbeService::report(Duration max_age) {
  const auto deadline = env_.now() + kWaitLimit;
  while (!is_good(max_age)) {
    if (env_.now() >= deadline) co_return Errc::timed_out;
    // Once more if the network has changed while we looked: that is a report of neither.
    if (!std::exchange(is_looking_, true)) tasks_.spawn(look());
    PYRSIA_CO_TRY(co_await env_.sleep_for(kWaitStep));
  }
  auto report = *report_;
  const auto verdict = known_.verdict();
  report.reachable = verdict.status;
  report.reachable_why = verdict.reason;
  if (verdict.status == Reachability::reachable) report.ways_in = ways_of(verdict);
  report.gateway = nat::gateway_facts(known_.port_mapping(), AddressClassifier());
  report.position = nat::position_of(report);
  if (report.is_captive == true && nat::internet_works(report)) report.is_captive = false;
  co_return report;
}

Task<http::Response> ProbeService::serve() {
  const auto told = co_await report(kFresh);
  if (!told && told.error() == Errc::timed_out)
    co_return http::error_response(503, R"({"Unknown":""})", "the probe takes too long");
  if (!told) co_return told.error();
  http::Response response;
  response.content_type = "application/json";
  response.body = nat::write_report(*told);
  co_return response;
}

}  // namespace pyrsia::app

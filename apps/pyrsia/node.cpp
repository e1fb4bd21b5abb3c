#include "node.hpp"

#include "base/in_words.hpp"
#include "commands.hpp"
#include "nat/behaviour/report_document.hpp"
#include "nat_facts_client.hpp"
#include "protocols/nat_facts/exchange.hpp"
#include "report.hpp"
#include "runtime/timeout.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <variant>

namespace pyrsia::app {
namespace {

/// How old a report may be that peers are told.
constexpr Duration kFactsAge = std::chrono::minutes(5);
constexpr Duration kPeerLimit = std::chrono::seconds(8);
constexpr Duration kStopLimit = std::chrono::milliseconds(1700);
constexpr Duration kSpinnerPeriod = std::chrono::milliseconds(100);
constexpr Duration kRefreshPeriod = std::chrono::seconds(1);

bootstrap::DirectoryConfig directory_config(const Options& options) {
  bootstrap::DirectoryConfig config;
  config.members = options.members;
  config.announce = options.host.announce;
  config.external_ip = options.external_ip;
  return config;
}

stun::ServerConfig secured(stun::ServerConfig config, StunTls& tls) {
  config.secure = tls.as_server();
  return config;
}

http::Response json_response(const boost::json::value& value) {
  http::Response response;
  response.content_type = "application/json";
  response.body = boost::json::serialize(value);
  return response;
}

/// The address in "cannot listen on /ip4/...: why"; all of `detail` if it has none.
std::string refused_address(const std::string& detail) {
  const auto begin = detail.find('/');
  const auto end = detail.rfind(": ");
  if (begin == detail.npos || end == detail.npos || end < begin) return detail;
  return detail.substr(begin, end - begin);
}

/// Why nothing listens at `where`, and the exit code that goes with it.
Complaint listen_complaint(std::string_view what, std::string_view where, const Error& error) {
  if (error == Errc::address_in_use) {
    return {ExitCode::try_later, fmt::format("{}: {} is in use by another program", what, where)};
  }
  if (error == Errc::permission_denied) {
    return {ExitCode::bad_config, fmt::format("{}: no permission to listen on {}", what, where)};
  }
  if (error == Errc::invalid_argument) {
    return {ExitCode::bad_config,
            fmt::format("{}: {} is not an address of this machine", what, where)};
  }
  return {ExitCode::bad_config,
          fmt::format("{}: cannot listen on {}: {}", what, where, in_words(error))};
}

}  // namespace

Node::Node(Env& env, const Options& options, Host& host, const KeyPair& key,
           const AddressClassifier& classifier, Terminal& terminal)
    : env_(env),
      options_(options),
      host_(host),
      terminal_(terminal),
      log_(terminal.sink()),
      directory_(env, directory_config(options), classifier, *this, Logger("directory", log_),
                 directory_metrics_),
      status_service_(directory_, *this, [this] { return values(); }),
      feed_(env),
      stun_tls_(env, options.host.web_tls, Logger("tls", log_)),
      stun_(env, secured(stun_config(options.stun, key), stun_tls_), Logger("stun", log_)),
      probe_(env, options,
             {.verdict = [&host] { return host.nat(); },
              .port_mapping = [&host] { return host.port_mapping(); },
              .nat64_prefixes = [&host] { return host.nat64_prefixes(); },
              .network_change_count = [&host] { return host.network_change_count(); }}),
      nat_facts_(env, {}, [this] { return probe_.report(kFactsAge); }),
      server_(
          env, http::Config(),
          [this](const http::Request& request) { return router_.handle(request); }, http_metrics_),
      stop_asked_(env.executor()),
      watchdog_(env),
      tasks_(env) {
  mount();
  if (!options.hides_nat) serve_nat_facts();
}

Task<> Node::run() {
  // A failed start says why and sets the exit code; either way all is stopped in order.
  const auto started = co_await start();
  if (!started && !is_stopping_) ask_to_stop();
  (void)co_await stop_asked_.wait();
  co_return co_await stop();
}

// The original's order: HTTP answers, then we listen, then we join.
Task<> Node::start() {
  tasks_.spawn(spin());
  terminal_.status("starting", true);
  if (!start_http()) co_return Errc::unavailable;
  if (!options_.stun.tls_listen.empty()) {
    std::string why;
    const auto loaded = co_await stun_tls_.load(&why);
    if (!loaded) fail(ExitCode::bad_config, why);
    if (!loaded) co_return loaded.error();
    tasks_.spawn(stun_tls_.watch());
  }
  if (!start_stun()) co_return Errc::unavailable;
  tasks_.spawn(read_events());
  std::string detail;
  const auto started = co_await host_.start(&detail);
  if (!started) {
    const bool is_of_listening = detail.starts_with("cannot listen on ");
    const auto complaint = is_of_listening
                               ? listen_complaint("p2p", refused_address(detail), started.error())
                               : Complaint{ExitCode::bad_config, detail};
    fail(complaint.code, complaint.text);
    co_return started.error();
  }
  directory_.start();
  const auto& host = options_.host;
  if (host.is_listen_only) {
    terminal_.status("listening; connecting to nobody of our own accord", false);
  } else if (host.bootstrap_urls.empty() && host.peers.empty() && host.probe_servers.empty() &&
             !host.bootstrap_cache) {
    say_what_to_set();
    terminal_.status("listening only: no boot server is known", false);
  }
  if (options_.is_once) tasks_.spawn(end_without_verdict());
  co_return ok;
}

void Node::say_what_to_set() {
  if (std::exchange(has_said_what_to_set_, true)) return;
  terminal_.note(
      "no boot server is known: give the URL of one with -B URL, "
      "PYRSIA_BOOTSTRAP_URL or bootstrap_url in the --config file");
}

bool Node::start_http() {
  const auto bound = server_.listen(options_.http);
  if (!bound) {
    const auto complaint = listen_complaint("HTTP", options_.http.to_string(), bound.error());
    fail(complaint.code, complaint.text);
    return false;
  }
  http_url_ = "http://" + bound->to_string();
  if (options_.is_json) {
    boost::json::object line;
    line["schema"] = "pyrsia.event/1";
    line["time"] = time_text(env_.wall_now());
    line["event"] = "started";
    line["peer_id"] = host_.peer_id().to_string();
    line["http"] = http_url_;
    terminal_.data(boost::json::serialize(line));
  } else {
    terminal_.data("peer id   " + host_.peer_id().to_string());
    terminal_.data("HTTP API  " + http_url_);
  }
  return true;
}

/// A boot server without STUN still does its main job: only who asked for it is refused.
bool Node::start_stun() {
  const auto& wish = options_.stun;
  const bool is_wished = !wish.listen.empty() || !wish.tls_listen.empty();
  if (options_.command != Command::boot || !is_wished) return true;
  std::string detail;
  const auto started = stun_.start(&detail);
  is_stun_running_ = started.has_value();
  if (started) return true;
  const auto why = stun_failure(started.error(), detail);
  if (wish.is_listen_given) {
    fail(started.error() == Errc::address_in_use ? ExitCode::try_later : ExitCode::bad_config, why);
    return false;
  }
  terminal_.note("pyrsia: WARNING: " + why + "; going on without a STUN server");
  return true;
}

void Node::fail(ExitCode code, const std::string& text) {
  terminal_.note("pyrsia: " + text);
  exit_code_ = code;
}

void Node::on_signal() {
  if (has_heard_signal_) end_at_once("told twice to stop");
  has_heard_signal_ = true;
  ask_to_stop();
}

void Node::ask_to_stop() {
  if (is_stopping_) return;
  is_stopping_ = true;
  watchdog_.spawn(end_if_stop_hangs());  // From now on: a start under way may hang as well.
  stop_asked_.notify();
}

void Node::end(ExitCode code) {
  if (is_stopping_) return;
  exit_code_ = code;
  ask_to_stop();
}

Task<> Node::stop() {
  terminal_.status("stopping", true);
  tasks_.cancel();
  (void)co_await server_.stop();
  (void)co_await probe_.stop();
  (void)co_await stun_.stop();
  (void)co_await directory_.stop();
  (void)co_await host_.stop();
  (void)co_await tasks_.join();
  watchdog_.cancel();
  (void)co_await watchdog_.join();
  co_return ok;
}

Task<> Node::end_if_stop_hangs() {
  PYRSIA_CO_TRY(co_await env_.sleep_for(kStopLimit));
  const auto limit = std::chrono::duration<double>(kStopLimit).count();
  end_at_once(fmt::format("not stopped within {} s", limit));
}

void Node::end_at_once(const std::string& why) {
  fail(exit_code_ == ExitCode::success ? ExitCode::internal_error : exit_code_,
       why + ": ended as it was");
  std::_Exit(static_cast<int>(exit_code_));
}

Task<> Node::read_events() {
  for (;;) {
    const auto event = co_await host_.next_event();
    if (!event) co_return event.error();
    take(*event);
  }
}

void Node::take(const HostEvent& event) {
  if (is_stopping_) return;  // After the verdict of --once nothing follows.
  const auto line = boost::json::serialize(event_json(event, env_.wall_now()));
  feed_.send(event_name(event), line);
  if (options_.is_json) terminal_.data(line);
  was_peer_connected_ = was_peer_connected_ || std::holds_alternative<PeerConnected>(event);
  // With a cache alone: it has expired, or none of its servers is there.
  const auto* progress = std::get_if<BootstrapProgress>(&event);
  if (progress && progress->stage == BootstrapProgress::Stage::waiting &&
      options_.host.bootstrap_urls.empty())
    say_what_to_set();
  show(event);
  const auto* change = std::get_if<StatusChanged>(&event);
  const bool is_verdict = change != nullptr && change->new_status != Reachability::unknown;
  if (is_verdict) show_verdict();
  if (is_verdict && options_.is_once) end(ExitCode::success);
}

void Node::show(const HostEvent& event) {
  if (options_.is_json) return;
  const auto text = event_text(event);
  if (text.empty()) return;
  if (const auto* listening = std::get_if<Listening>(&event)) {
    terminal_.note("listening on " +
                   listening->address.without_peer().with_peer(host_.peer_id()).to_string());
  } else if (std::holds_alternative<Connected>(event) ||
             std::holds_alternative<StatusChanged>(event)) {
    terminal_.note(text);
  } else if (const auto* progress = std::get_if<BootstrapProgress>(&event);
             progress != nullptr && progress->stage == BootstrapProgress::Stage::failed) {
    terminal_.note(text);
  } else if (!std::holds_alternative<InboundProbe>(event) &&
             host_.nat().status == Reachability::unknown) {
    terminal_.status(text, true);
  }
}

void Node::show_verdict() {
  const auto report = host_.nat();
  if (!options_.is_json) {
    terminal_.data("verdict   " + verdict_text(report));
    show_steady_state();
  } else if (options_.is_once) {
    terminal_.data(boost::json::serialize(nat_json(report, host_.peer_id())));
  }
}

/// The status line once the verdict is known: it changes only when what it says does.
void Node::show_steady_state() {
  const auto report = host_.nat();
  if (report.status == Reachability::unknown) return;
  const auto count = connected_peers().size();
  terminal_.status(
      fmt::format(
          "{} · {}{} · {} peer{}", nat_status_name(report.status),
          report.is_connected ? "fully connected" : "connected",
          terminal_.is_terminal() ? fmt::format(" · confidence {} of 3", report.confidence) : "",
          count, count == 1 ? "" : "s"),
      false);
}

Task<> Node::spin() {
  Duration since_refresh{0};
  for (;;) {
    PYRSIA_CO_TRY(
        co_await env_.sleep_for(terminal_.is_terminal() ? kSpinnerPeriod : kRefreshPeriod));
    terminal_.tick();
    since_refresh += kSpinnerPeriod;
    if (!terminal_.is_terminal() || since_refresh < kRefreshPeriod) continue;
    since_refresh = Duration(0);
    show_steady_state();
  }
}

Task<> Node::end_without_verdict() {
  PYRSIA_CO_TRY(co_await env_.sleep_for(options_.once_timeout));
  if (was_peer_connected_) {
    terminal_.note(fmt::format("pyrsia: no verdict within {} s", options_.once_timeout.count()));
    end(ExitCode::try_later);
  } else {
    terminal_.note(fmt::format("pyrsia: no boot server could be reached within {} s",
                               options_.once_timeout.count()));
    end(ExitCode::bootstrap_failed);
  }
  co_return ok;
}

std::vector<Multiaddr> Node::advertised_addresses() const {
  return host_.advertised_addresses();
}

std::vector<PeerId> Node::connected_peers() const {
  std::vector<PeerId> peers;
  for (const auto& info : host_.peers()) peers.push_back(info.peer);
  std::ranges::sort(peers);
  const auto doubled = std::ranges::unique(peers);
  peers.erase(doubled.begin(), doubled.end());
  return peers;
}

void Node::mount() {
  status_service_.mount(router_);
  router_.add("GET", "/nat", [this](const http::Request&) { return nat(); });
  router_.add("GET", "/probe", [this](const http::Request&) { return probe_.serve(); });
  router_.add("GET", "/peer-nat",
              [this](const http::Request& request) { return peer_nat(request); });
  router_.add("GET", "/events", [this](const http::Request&) { return events(); });
  router_.add("GET", "/healthz", [this](const http::Request&) { return health(); });
}

Task<http::Response> Node::nat() {
  auto report = nat_json(host_.nat(), host_.peer_id());
  report["port_mapping"] = port_mapping_json(host_.port_mapping());
  co_return json_response(report);
}

void Node::serve_nat_facts() {
  host_.on(std::string(nat_facts::kProtocol), [this](PeerId peer, std::unique_ptr<Stream> stream) {
    const auto paths = host_.paths(peer);
    const auto ip = paths.empty() ? std::nullopt : paths.front().remote.ip();
    return nat_facts_.serve(std::move(peer), ip.value_or(IpAddress::v4_any()), std::move(stream));
  });
}

Task<http::Response> Node::peer_nat(const http::Request& request) {
  const auto asked = request.query.find("peer");
  const auto peer =
      asked == request.query.end() ? Result<PeerId>(Errc::malformed) : PeerId::parse(asked->second);
  if (!peer) co_return http::error_response(400, R"({"Unknown":""})", "?peer=ID: which peer?");
  if (host_.paths(*peer).empty())
    co_return http::error_response(404, R"({"Unknown":""})", "that peer is not connected");
  auto asking = ask_nat_facts(host_, *peer);
  const auto report = co_await with_timeout(env_, kPeerLimit, std::move(asking));
  if (!report && report.error() == Errc::cancelled) co_return report.error();
  if (!report)
    co_return http::error_response(
        502, R"({"Unknown":""})",
        "the peer does not say: " + std::string(in_words(report.error())));
  http::Response response;
  response.content_type = "application/json";
  response.body = nat::write_report(*report);
  co_return response;
}

Task<http::Response> Node::events() {
  if (feed_.is_full()) {
    co_return http::error_response(503, R"({"Unknown":""})", "too many open event streams");
  }
  http::Response response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.stream = [this](http::Writer& writer) { return feed_.serve(writer); };
  co_return response;
}

Task<http::Response> Node::health() {
  http::Response response;
  response.content_type = "text/plain";
  response.body = "ok\n";
  co_return response;
}

std::map<std::string, std::uint64_t> Node::values() const {
  auto values = host_.counters();
  const auto report = host_.nat();
  values["pyrsia_peers"] = connected_peers().size();
  values["pyrsia_nat_reachable"] = report.status == Reachability::reachable ? 1 : 0;
  values["pyrsia_nat_unreachable"] = report.status == Reachability::unreachable ? 1 : 0;
  values["pyrsia_nat_confidence"] = static_cast<std::uint64_t>(std::max(report.confidence, 0));
  values["pyrsia_fully_connected"] = report.is_connected ? 1 : 0;
  values["pyrsia_directory_members"] = directory_.members().all().size();
  values["pyrsia_directory_members_healthy"] = directory_.members().healthy_count();
  values["pyrsia_directory_health_checks_total"] = directory_metrics_.health_checks.value();
  values["pyrsia_directory_health_failures_total"] = directory_metrics_.health_failures.value();
  values["pyrsia_directory_members_entered_total"] = directory_metrics_.members_entered.value();
  values["pyrsia_directory_members_left_total"] = directory_metrics_.members_left.value();
  values["pyrsia_directory_rebuilds_total"] = directory_metrics_.rebuilds.value();
  if (is_stun_running_)  // The host has those of the shared ports.
    for (const auto& [name, value] : stun_.counters()) values[name] += value;
  const auto& probe = probe_.metrics();
  values["pyrsia_probe_sent_total"] = probe.sent.value();
  values["pyrsia_probe_received_total"] = probe.received.value();
  values["pyrsia_probe_malformed_total"] = probe.malformed.value();
  values["pyrsia_probe_unmatched_total"] = probe.unmatched.value();
  values["pyrsia_probe_wrong_source_total"] = probe.wrong_source.value();
  const auto& facts = nat_facts_.metrics();
  values["pyrsia_nat_facts_answered_total"] = facts.answered.value();
  values["pyrsia_nat_facts_limited_total"] = facts.limited.value();
  values["pyrsia_nat_facts_failed_total"] = facts.failed.value();
  values["pyrsia_http_connections"] = server_.connection_count();
  values["pyrsia_http_connections_total"] = http_metrics_.connections.value();
  values["pyrsia_http_refused_connections_total"] = http_metrics_.refused_connections.value();
  values["pyrsia_http_requests_total"] = http_metrics_.requests.value();
  values["pyrsia_http_bad_requests_total"] = http_metrics_.bad_requests.value();
  values["pyrsia_http_timeouts_total"] = http_metrics_.timeouts.value();
  values["pyrsia_http_failed_accepts_total"] = http_metrics_.failed_accepts.value();
  values["pyrsia_http_failed_handlers_total"] = http_metrics_.failed_handlers.value();
  values["pyrsia_event_streams"] = feed_.subscriber_count();
  values["pyrsia_event_streams_lost_events_total"] = feed_.lost_count();
  return values;
}

}  // namespace pyrsia::app

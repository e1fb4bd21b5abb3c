#include "base/in_words.hpp"
#include "commands.hpp"
#include "measuring.hpp"
#include "nat/behaviour/pair.hpp"
#include "nat/behaviour/report_document.hpp"
#include "nat_facts_client.hpp"
#include "probe_report.hpp"
#include "probe_servers.hpp"
#include "runtime/env.hpp"
#include "runtime/interruptible.hpp"
#include "runtime/timeout.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <set>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kDaemonLimit = std::chrono::seconds(9);

std::string daemon_url(const Options& options, std::string_view path) {
  auto where = options.http;
  if (where.ip.is_unspecified())
    where.ip = where.ip.is_v4() ? IpAddress::v4_loopback() : *IpAddress::parse("::1");
  return "http://" + where.to_string() + std::string(path);
}

/// Errors: `Errc::malformed` (not a probe), those of Env::http_get().
Task<nat::Report> fetch(Env& env, std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.timeout = kDaemonLimit;
  request.max_body_bytes = nat::kMaxDocumentBytes;
  request.max_redirects = 0;
  auto get = env.http_get(std::move(request), nullptr);
  PYRSIA_CO_TRY(const auto response, co_await std::move(get));
  if (response.status != 200) co_return Errc::malformed;
  co_return nat::read_report(response.body);
}

/// What a survey of our own needs while it runs.
struct Looking {
  LogSink silence;
  Logger log{"tls", silence};
  std::unique_ptr<StunTls> tls;
  std::unique_ptr<nat::Survey> survey;
};

/// Without a daemon. Leaves the survey to its owner, who stops it. Errors:
/// `Errc::invalid_argument` (no server is known), those of nat::Survey::run().
Task<nat::Report> look(Env& env, const Options& options, Looking& looking) {
  const auto names = stun_server_names(options);
  if (names.empty()) co_return Errc::invalid_argument;
  if (looking.survey) (void)co_await looking.survey->stop();
  if (!looking.tls) looking.tls = std::make_unique<StunTls>(env, options.host.web_tls, looking.log);
  PYRSIA_CO_TRY(looking.tls->read_trust(nullptr));
  const auto& urls = options.host.bootstrap_urls;
  PYRSIA_CO_TRY(auto config, co_await survey_config(env, names, urls, looking.tls.get()));
  config.measures_lifetime = options.probe.measures_lifetime;
  config.asks_gateway = options.host.port_mapping.mode != PortMappingMode::off;
  looking.survey = std::make_unique<nat::Survey>(env, std::move(config));
  co_return co_await looking.survey->run();
}

/// The running node knows more (its verdict, its own servers), but measures no lifetimes and asks
/// no others. One that knows no server is of use for its verdict only.
Task<nat::Report> probe_once(Env& env, const Options& options, Looking& looking) {
  const auto& probe = options.probe;
  if (!probe.is_alone && probe.servers.empty() && !probe.measures_lifetime) {
    auto asked = co_await fetch(env, daemon_url(options, "/probe"));
    if (!asked && asked.error() == Errc::cancelled) co_return asked;
    const bool is_of_use = asked && (!asked->servers.empty() || stun_server_names(options).empty());
    if (is_of_use) co_return asked;
    if (asked) {
      auto report = co_await look(env, options, looking);
      if (!report) co_return report;
      report->reachable = asked->reachable;
      report->reachable_why = asked->reachable_why;
      report->ways_in = asked->ways_in;
      co_return report;
    }
  }
  co_return co_await look(env, options, looking);
}

void show(const nat::Report& report, const Options& options) {
  if (options.is_json) {
    fmt::print("{}\n", nat::write_report(report));
  } else {
    fmt::print("{}", options.probe.is_brief ? probe_brief(report) : probe_text(report));
  }
  std::fflush(stdout);
}

/// Names whoever was not asked, on stderr: for each once, however long a watch goes on.
void tell_unresolved(const nat::Report& report, std::set<std::string>& told) {
  for (const auto& name : report.unresolved)
    if (told.insert(name).second)
      complain({ExitCode::try_later,
                fmt::format("probe: the STUN server {} is not asked: its name has no address here, "
                            "or no DNS server says which",
                            name)});
}

ExitCode code_of(const Error& error) {
  if (error == Errc::invalid_argument) return ExitCode::usage;
  return ExitCode::try_later;
}

Complaint complaint_about(const Error& error, const Options& options) {
  const bool knows_none = error == Errc::invalid_argument;
  return {code_of(error),
          knows_none
              ? fmt::format("no node answers at {} and no STUN server is known: give one with "
                            "--server HOST[:PORT]",
                            daemon_url(options, "/probe"))
              : "probe: " + error.message()};
}

/// Goes on until a signal, if it is to be repeated: what fails now may not fail the next time.
Task<> probe_all(Env& env, const Options& options, Looking& looking, Result<nat::Report>& last) {
  std::set<std::string> told;
  for (;;) {
    auto now = co_await probe_once(env, options, looking);
    if (!now && now.error() == Errc::cancelled) co_return now.error();
    last = std::move(now);
    if (last) tell_unresolved(*last, told);
    if (last) show(*last, options);
    if (!options.probe.every) co_return ok;
    if (!last) complain(complaint_about(last.error(), options));
    if (!options.is_json) fmt::print("\n");
    PYRSIA_CO_TRY(co_await env.sleep_for(*options.probe.every));
  }
}

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

Task<nat::Report> connect_and_ask(Host& host, Multiaddr address) {
  auto peer = *address.peer_id();
  PYRSIA_CO_TRY(co_await connect_to(host, std::move(address), nullptr));
  co_return co_await ask_nat_facts(host, std::move(peer));
}

Result<nat::Report> read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Errc::not_found;
  std::string text(nat::kMaxDocumentBytes + 1, '\0');  // One more shows that it is too long.
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return nat::read_report(text);
}

/// Asks the peer itself, from a host that lives only for that. Errors: those of Host::make(),
/// connect_to() and ask_nat_facts(), `Errc::timed_out`.
Task<nat::Report> ask_peer(Env& env, const Options& options, Multiaddr address) {
  auto config = measuring_config(options);
  PYRSIA_CO_TRY(const auto host, Host::make(env, KeyPair::generate(), std::move(config)));
  PYRSIA_CO_TRY(co_await host->start(nullptr));
  auto asking = connect_and_ask(*host, std::move(address));
  auto report = co_await with_timeout(env, kDaemonLimit, std::move(asking));
  PYRSIA_CO_TRY(co_await host->stop());
  co_return report;
}

Task<nat::Report> read_remote(Env& env, const Options& options) {
  const auto& remote = options.probe.remote;
  if (is_url(remote)) co_return co_await fetch(env, remote);
  auto address = Multiaddr::parse(remote);
  if (address && address->peer_id() && !address->without_peer().empty())
    co_return co_await ask_peer(env, options, *std::move(address));
  if (PeerId::parse(remote).has_value())
    co_return co_await fetch(env, daemon_url(options, "/peer-nat?peer=" + remote));
  co_return read_file(remote);
}

/// The node on this machine knows; where none runs, we look ourselves.
Task<nat::Report> read_local(Env& env, const Options& options, Looking& looking) {
  const auto& local = options.probe.local;
  if (is_url(local)) co_return co_await fetch(env, local);
  if (!local.empty()) co_return read_file(local);
  auto asked = co_await fetch(env, daemon_url(options, "/probe"));
  if (asked || asked.error() == Errc::cancelled || stun_server_names(options).empty())
    co_return asked;
  co_return co_await look(env, options, looking);
}

Task<> read_both(Env& env, const Options& options, Looking& looking, Result<nat::Report>& local,
                 Result<nat::Report>& remote) {
  remote = co_await read_remote(env, options);
  if (!remote) co_return ok;
  local = co_await read_local(env, options, looking);
  co_return ok;
}

/// Why one side's facts are not there.
Complaint missing_side(const Options& options, bool is_local, const Error& error) {
  const auto& probe = options.probe;
  const bool is_daemon = is_local ? probe.local.empty() : PeerId::parse(probe.remote).has_value();
  const auto where = is_daemon  ? "the node at " + daemon_url(options, "/")
                     : is_local ? probe.local
                                : probe.remote;
  const auto why = error == Errc::malformed       ? "not what `pyrsia probe --json` says"
                   : error == Errc::not_supported ? "that peer does not tell of its NAT"
                                                  : in_words(error);
  auto code = is_daemon ? ExitCode::not_running : ExitCode::usage;
  if (!is_daemon && Multiaddr::parse(where)) code = ExitCode::try_later;
  return {code, fmt::format("probe pair: {}: {}", where, why)};
}

ExitCode code_of(const nat::Prediction& prediction) {
  if (!prediction.path) return ExitCode::try_later;
  return *prediction.path == nat::Path::relay ? ExitCode::relayed : ExitCode::success;
}

}  // namespace

ExitCode run_probe(const Options& options) {
  Runtime runtime;
  Result<nat::Report> last = Errc::unavailable;
  Looking looking;
  // A watch is ended by a signal, in order: the verdict that it saw last is its result.
  Interruptible watch;
  std::function<void(int)> on_signal;
  if (options.probe.every) on_signal = [&watch](int) { watch.interrupt(); };
  auto probing = watch.run(runtime.env(), probe_all(runtime.env(), options, looking, last));
  (void)runtime.run(std::move(probing), std::move(on_signal));
  if (looking.survey) (void)runtime.run(looking.survey->stop());
  if (last) return static_cast<ExitCode>(nat::exit_code(nat::advise(*last).verdict));
  const auto complaint = complaint_about(last.error(), options);
  if (!options.probe.every) complain(complaint);
  return complaint.code;
}

ExitCode run_pair(const Options& options) {
  Runtime runtime;
  Result<nat::Report> local = Errc::unavailable;
  Result<nat::Report> remote = Errc::unavailable;
  Looking looking;
  (void)runtime.run(read_both(runtime.env(), options, looking, local, remote));
  if (looking.survey) (void)runtime.run(looking.survey->stop());
  if (!remote || !local) {
    const auto complaint = remote ? missing_side(options, true, local.error())
                                  : missing_side(options, false, remote.error());
    complain(complaint);
    return complaint.code;
  }
  const auto prediction = nat::predict(*local, *remote);
  const std::string path = prediction.path ? std::string(name(*prediction.path)) : "unknown";
  if (options.is_json) {
    json::object out;
    out["schema"] = "pyrsia.pair/1";
    out["path"] = prediction.path ? json::value(path) : json::value(nullptr);
    out["why"] = prediction.why;
    fmt::print("{}\n", json::serialize(out));
  } else {
    fmt::print("{}: {}\n", path, prediction.why);
  }
  return code_of(prediction);
}

}  // namespace pyrsia::app

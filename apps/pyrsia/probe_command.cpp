#include "commands.hpp"
#include "nat/behaviour/pair.hpp"
#include "probe_report.hpp"
#include "probe_servers.hpp"
#include "runtime/env.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kDaemonLimit = std::chrono::seconds(9);
constexpr std::size_t kMaxDocumentBytes = 64 * 1024;

std::string daemon_url(const Options& options) {
  auto where = options.http;
  if (where.ip.is_unspecified())
    where.ip = where.ip.is_v4() ? IpAddress::v4_loopback() : *IpAddress::parse("::1");
  return "http://" + where.to_string() + "/probe";
}

Result<nat::Report> parse_report(std::string_view text) {
  json::error_code error;
  const auto document = json::parse(text, error);
  if (error) return Errc::malformed;
  return probe_report(document);
}

/// Errors: `Errc::malformed` (not a probe), those of Env::http_get().
Task<nat::Report> fetch(Env& env, std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.timeout = kDaemonLimit;
  request.max_body_bytes = kMaxDocumentBytes;
  request.max_redirects = 0;
  auto get = env.http_get(std::move(request), nullptr);
  PYRSIA_CO_TRY(const auto response, co_await std::move(get));
  if (response.status != 200) co_return Errc::malformed;
  co_return parse_report(response.body);
}

/// Without a daemon. Leaves the survey to its owner, who stops it. Errors:
/// `Errc::invalid_argument` (no server is known), those of nat::Survey::run().
Task<nat::Report> look(Env& env, const Options& options, std::unique_ptr<nat::Survey>& survey) {
  const auto names = stun_server_names(options);
  if (names.empty()) co_return Errc::invalid_argument;
  PYRSIA_CO_TRY(auto config, co_await survey_config(env, names, options.host.bootstrap_urls));
  config.measures_lifetime = options.probe.measures_lifetime;
  if (survey) (void)co_await survey->stop();
  survey = std::make_unique<nat::Survey>(env, std::move(config));
  co_return co_await survey->run();
}

/// The running node knows more (its verdict, its own servers), but measures no lifetimes and asks
/// no others. One that knows no server is of use for its verdict only.
Task<nat::Report> probe_once(Env& env, const Options& options,
                             std::unique_ptr<nat::Survey>& survey) {
  const auto& probe = options.probe;
  if (!probe.is_alone && probe.servers.empty() && !probe.measures_lifetime) {
    auto asked = co_await fetch(env, daemon_url(options));
    if (!asked && asked.error() == Errc::cancelled) co_return asked;
    const bool is_of_use = asked && (!asked->servers.empty() || stun_server_names(options).empty());
    if (is_of_use) co_return asked;
    if (asked) {
      auto report = co_await look(env, options, survey);
      if (!report) co_return report;
      report->reachable = asked->reachable;
      report->reachable_why = asked->reachable_why;
      co_return report;
    }
  }
  co_return co_await look(env, options, survey);
}

void show(const nat::Report& report, const Options& options) {
  if (options.is_json) {
    fmt::print("{}\n", json::serialize(probe_json(report)));
  } else {
    fmt::print("{}", options.probe.is_brief ? probe_brief(report) : probe_text(report));
  }
  std::fflush(stdout);
}

/// Goes on until a signal, if it is to be repeated.
Task<> probe_all(Env& env, const Options& options, std::unique_ptr<nat::Survey>& survey,
                 Result<nat::Report>& last) {
  for (;;) {
    last = co_await probe_once(env, options, survey);
    if (!last) co_return last.error();
    show(*last, options);
    if (!options.probe.every) co_return ok;
    if (!options.is_json) fmt::print("\n");
    PYRSIA_CO_TRY(co_await env.sleep_for(*options.probe.every));
  }
}

ExitCode code_of(const Error& error) {
  if (error == Errc::invalid_argument) return ExitCode::usage;
  return ExitCode::try_later;
}

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

Result<nat::Report> read_report(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Errc::not_found;
  std::string text(kMaxDocumentBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxDocumentBytes) return Errc::too_large;
  return parse_report(text);
}

Task<> read_both(Env& env, const Options& options, Result<nat::Report>& local,
                 Result<nat::Report>& remote) {
  const auto& probe = options.probe;
  if (!is_url(probe.remote)) remote = read_report(probe.remote);
  if (is_url(probe.remote)) remote = co_await fetch(env, probe.remote);
  if (probe.local.empty()) {
    local = co_await fetch(env, daemon_url(options));
  } else if (is_url(probe.local)) {
    local = co_await fetch(env, probe.local);
  } else {
    local = read_report(probe.local);
  }
  co_return ok;
}

ExitCode code_of(const nat::Prediction& prediction) {
  if (!prediction.path) return ExitCode::try_later;
  return *prediction.path == nat::Path::relay ? ExitCode::relayed : ExitCode::success;
}

}  // namespace

ExitCode run_probe(const Options& options) {
  Runtime runtime;
  Result<nat::Report> last = Errc::unavailable;
  std::unique_ptr<nat::Survey> survey;
  (void)runtime.run(probe_all(runtime.env(), options, survey, last));
  if (survey) (void)runtime.run(survey->stop());
  if (last) return static_cast<ExitCode>(nat::exit_code(nat::advise(*last).verdict));
  const bool knows_none = last.error() == Errc::invalid_argument;
  const Complaint complaint{
      code_of(last.error()),
      knows_none ? fmt::format("no node answers at {} and no STUN server is known: give one with "
                               "--server HOST[:PORT]",
                               daemon_url(options))
                 : "probe: " + last.error().message()};
  complain(complaint);
  return complaint.code;
}

ExitCode run_pair(const Options& options) {
  Runtime runtime;
  Result<nat::Report> local = Errc::unavailable;
  Result<nat::Report> remote = Errc::unavailable;
  (void)runtime.run(read_both(runtime.env(), options, local, remote));
  for (const auto* side : {&local, &remote}) {
    if (*side) continue;
    const bool is_local = side == &local;
    const auto where = is_local ? options.probe.local : options.probe.remote;
    const Complaint complaint{
        is_local && where.empty() ? ExitCode::not_running : ExitCode::usage,
        fmt::format("probe pair: {}: {}", where.empty() ? daemon_url(options) : where,
                    side->error() == Errc::malformed ? "not what `pyrsia probe --json` says"
                                                     : side->error().message())};
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

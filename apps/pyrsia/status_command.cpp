#include "base/in_words.hpp"
#include "commands.hpp"
#include "report.hpp"
#include "runtime/env.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kTimeout = std::chrono::seconds(3);
constexpr std::string_view kStranger = "what answers there is not a pyrsia node";

/// What the daemon answered, or why there is no answer.
struct Answers {
  json::object nat;
  std::size_t peer_count = 0;
  std::string problem;
};

/// Errors: `Errc::malformed` (not JSON), and those of Env::http_get().
Task<json::value> ask(Env& env, std::string url, std::string& problem) {
  HttpRequest request;
  request.url = std::move(url);
  request.timeout = kTimeout;
  request.max_body_bytes = 1024 * 1024;
  request.max_redirects = 0;
  auto get = env.http_get(std::move(request), &problem);
  const auto response = co_await std::move(get);
  if (!response) {
    const auto error = response.error();
    // No HTTP, or a redirect, or more than any node says.
    const bool is_stranger =
        error == Errc::invalid_argument || error == Errc::limit_reached || error == Errc::too_large;
    if (problem.empty() || error == Errc::refused) problem = in_words(error);
    if (is_stranger) problem = kStranger;
    co_return error;
  }
  json::error_code error;
  auto value = json::parse(response->body, error);
  if (error || response->status != 200) {
    problem = kStranger;
    co_return Errc::malformed;
  }
  co_return value;
}

bool is_report(const json::value& nat) {
  const auto* const object = nat.if_object();
  const auto* const schema = object == nullptr ? nullptr : object->if_contains("schema");
  return schema != nullptr && schema->is_string() &&
         std::string_view(schema->get_string()).starts_with("pyrsia.nat/");
}

Task<> ask_all(Env& env, std::string base, Answers& answers) {
  PYRSIA_CO_TRY(const auto nat, co_await ask(env, base + "/nat", answers.problem));
  PYRSIA_CO_TRY(const auto peers, co_await ask(env, base + "/peers", answers.problem));
  if (!is_report(nat) || !peers.is_array()) {
    answers.problem = kStranger;
    co_return Errc::malformed;
  }
  answers.nat = nat.get_object();
  answers.peer_count = peers.get_array().size();
  co_return ok;
}

ExitCode code_for(const json::object& nat) {
  const auto* status = nat.if_contains("status");
  if (status == nullptr || !status->is_string()) return ExitCode::try_later;
  if (status->get_string() == name(Reachability::reachable)) return ExitCode::success;
  if (status->get_string() == name(Reachability::unreachable)) return ExitCode::unreachable;
  return ExitCode::try_later;
}

}  // namespace

ExitCode run_status(const Options& options) {
  auto where = options.http;
  if (where.ip.is_unspecified()) {
    where.ip = where.ip.is_v4() ? IpAddress::v4_loopback() : *IpAddress::parse("::1");
  }
  const auto base = "http://" + where.to_string();
  Answers answers;
  Runtime runtime;
  if (!runtime.run(ask_all(runtime.env(), base, answers))) {
    const Complaint complaint{ExitCode::not_running,
                              fmt::format("no node answers at {}: {}", base, answers.problem)};
    if (!options.is_quiet) complain(complaint);
    return complaint.code;
  }
  if (options.is_quiet) return ExitCode::success;
  auto out = answers.nat;
  out["peers_count"] = answers.peer_count;
  const auto text =
      options.is_json ? json::serialize(out) + "\n" : status_text(answers.nat, answers.peer_count);
  const auto printed = print(text);
  return printed == ExitCode::success ? code_for(answers.nat) : printed;
}

}  // namespace pyrsia::app

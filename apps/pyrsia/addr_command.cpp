#include "address_explanation.hpp"
#include "commands.hpp"
#include "host/reachability_record.hpp"
#include "host/scope.hpp"
#include "report.hpp"
#include "runtime/env.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kTimeout = std::chrono::seconds(3);
constexpr std::size_t kMaxRecordingBytes = std::size_t(256) << 20;

ExitCode refuse(std::string text) {
  complain(Complaint{ExitCode::usage, std::move(text)});
  return ExitCode::usage;
}

/// A multiaddr, or an IP address alone.
Result<Multiaddr> read_address(const std::string& text) {
  if (const auto ip = IpAddress::parse(text))
    return Multiaddr::parse((ip->is_v6() ? "/ip6/" : "/ip4/") + ip->to_string());
  return Multiaddr::parse(text);
}

/// What the node on this machine says on /nat. Errors: there is none, or it is something else.
Task<json::object> ask_node(Env& env, std::string base) {
  HttpRequest request;
  request.url = base + "/nat";
  request.timeout = kTimeout;
  request.max_body_bytes = 1024 * 1024;
  request.max_redirects = 0;
  auto get = env.http_get(std::move(request), nullptr);
  PYRSIA_CO_TRY(const auto response, co_await std::move(get));
  json::error_code error;
  const auto value = json::parse(response.body, error);
  if (error || response.status != 200 || !value.is_object()) co_return Errc::malformed;
  co_return value.get_object();
}

Task<> ask_and_keep(Env& env, std::string base, std::optional<json::object>& nat) {
  auto asked = co_await ask_node(env, std::move(base));
  if (asked) nat = *std::move(asked);
  co_return ok;
}

ExitCode code_for(const json::object& explanation) {
  const auto* verdict = explanation.if_contains("verdict");
  if (verdict == nullptr) return ExitCode::success;
  const auto* status = verdict->as_object().if_contains("status");
  if (status == nullptr || !status->is_string()) return ExitCode::try_later;
  if (status->get_string() == name(Reachability::reachable)) return ExitCode::success;
  if (status->get_string() == name(Reachability::unreachable)) return ExitCode::unreachable;
  return ExitCode::try_later;
}

ExitCode explain(const Options& options, const std::string& text) {
  const auto address = read_address(text);
  if (!address)
    return refuse(
        fmt::format("addr explain: \"{}\" is no multiaddr such as "
                    "/ip4/192.0.2.1/tcp/44000, and no IP address",
                    text));
  auto where = options.http;
  if (where.ip.is_unspecified())
    where.ip = where.ip.is_v4() ? IpAddress::v4_loopback() : *IpAddress::parse("::1");
  std::optional<json::object> nat;
  Runtime runtime;
  (void)runtime.run(ask_and_keep(runtime.env(), "http://" + where.to_string(), nat));
  const auto classifier = make_classifier(options.host);
  const auto explanation = address_json(*address, classifier, nat ? &*nat : nullptr);
  if (options.is_json)
    fmt::print("{}\n", json::serialize(explanation));
  else
    fmt::print("{}", address_text(explanation));
  return code_for(explanation);
}

json::object replay_json(const host::Replay& replayed) {
  const auto since = [&](TimePoint at) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at - replayed.begin);
    return double(ms.count()) / 1000;
  };
  json::object out;
  out["schema"] = "pyrsia.replay/1";
  out["inputs"] = replayed.inputs;
  json::array changes;
  for (const auto& [at, change] : replayed.changes) {
    json::object entry;
    entry["at_s"] = since(at);
    entry["old_status"] = name(change.old_status);
    entry["new_status"] = name(change.new_status);
    entry["reason"] = change.reason;
    changes.push_back(std::move(entry));
  }
  out["changes"] = std::move(changes);
  out["nat"] = nat_json(replayed.report, std::nullopt);
  return out;
}

ExitCode replay(const Options& options, const std::string& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in) return refuse(fmt::format("addr replay: {}: cannot be read", file));
  if (size > kMaxRecordingBytes) return refuse(fmt::format("addr replay: {}: too large", file));
  std::ostringstream text;
  text << in.rdbuf();
  std::size_t bad_line = 0;
  const auto replayed = host::replay(text.str(), &bad_line);
  if (!replayed) {
    const Complaint complaint{
        ExitCode::bad_config,
        replayed.error() == Errc::not_supported
            ? fmt::format("addr replay: {}: no recording of a version that is known here", file)
            : fmt::format("addr replay: {}, line {}: {}", file, bad_line,
                          replayed.error().message())};
    complain(complaint);
    return complaint.code;
  }
  const auto out = replay_json(*replayed);
  if (options.is_json) {
    fmt::print("{}\n", json::serialize(out));
    return ExitCode::success;
  }
  fmt::print("{} inputs\n", replayed->inputs);
  for (const auto& value : out.at("changes").as_array()) {
    const auto& entry = value.as_object();
    fmt::print("{:9.3f} s  {} -> {}: {}\n", entry.at("at_s").to_number<double>(),
               std::string_view(entry.at("old_status").as_string()),
               std::string_view(entry.at("new_status").as_string()),
               std::string_view(entry.at("reason").as_string()));
  }
  fmt::print("at the end: {}\n", replayed->report.reason);
  return ExitCode::success;
}

}  // namespace

ExitCode run_addr(const Options& options) {
  const auto& words = options.words;
  if (words.size() == 2 && words[0] == "explain") return explain(options, words[1]);
  if (words.size() == 2 && words[0] == "replay") return replay(options, words[1]);
  return refuse("addr: expected \"explain ADDR\" or \"replay FILE\" (see --help)");
}

}  // namespace pyrsia::app

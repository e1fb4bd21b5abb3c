#include "base/in_words.hpp"
#include "measuring.hpp"
#include "runtime/env.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kInterval = std::chrono::seconds(1);

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// Pings one peer and prints what comes.
class Pinging {
 public:
  Pinging(Env& env, Host& host, const Options& options)
      : env_(env), host_(host), options_(options), peer_(*options.address->peer_id()) {}

  Task<> run();
  void ask_to_stop() { is_stopping_ = true; }
  ExitCode exit_code() const;

 private:
  Task<> run_started();
  Task<> ping_once(std::uint32_t number);
  void print_summary() const;
  void print(const char* event, json::object line) const;

  Env& env_;
  Host& host_;
  const Options& options_;
  PeerId peer_;
  std::vector<Duration> times_;
  std::uint32_t sent_count_ = 0;
  bool is_relayed_ = false;
  bool is_stopping_ = false;
};

Task<> Pinging::run() {
  PYRSIA_CO_TRY(co_await host_.start(nullptr));
  const auto ended = co_await run_started();
  PYRSIA_CO_TRY(co_await host_.stop());
  co_return ended;
}

Task<> Pinging::run_started() {
  std::string detail;
  const auto connected = co_await connect_to(host_, *options_.address, &detail);
  if (!connected) {
    auto text = fmt::format("{}: {}", options_.address->to_string(), in_words(connected.error()));
    if (!detail.empty()) text += " (" + detail + ")";
    complain({ExitCode::unreachable, text});
    co_return ok;
  }
  for (std::uint32_t i = 1; i <= options_.count && !is_stopping_; ++i) {
    if (i > 1) PYRSIA_CO_TRY(co_await env_.sleep_for(kInterval));
    if (!is_stopping_) PYRSIA_CO_TRY(co_await ping_once(i));
  }
  print_summary();
  co_return ok;
}

Task<> Pinging::ping_once(std::uint32_t number) {
  ++sent_count_;
  const auto time = co_await host_.ping(peer_);
  if (!time && time.error() == Errc::cancelled) co_return time.error();
  const auto paths = host_.paths(peer_);
  json::object line;
  line["number"] = number;
  if (!time) {
    line["error"] = std::string(in_words(time.error()));
    if (!options_.is_json) fmt::print("{:>4}  {}\n", number, std::string(in_words(time.error())));
  } else {
    times_.push_back(*time);
    line["milliseconds"] = milliseconds(*time);
    if (!options_.is_json && paths.empty())
      fmt::print("{:>4}  {:.3f} ms\n", number, milliseconds(*time));
    if (!options_.is_json && !paths.empty())
      fmt::print("{:>4}  {:.3f} ms  {}\n", number, milliseconds(*time), path_text(paths.front()));
  }
  if (!paths.empty()) {
    const auto& path = paths.front();
    is_relayed_ = path.remote.is_relayed();
    line["transport"] = transport_name(path.remote);
    line["security"] = path.security;
    line["muxer"] = path.muxer;
    line["is_relayed"] = is_relayed_;
    line["local"] = path.local.to_string();
    line["remote"] = path.remote.to_string();
  }
  print(time ? "answer" : "failed", std::move(line));
  co_return ok;
}

void Pinging::print_summary() const {
  Duration sum{0};
  for (const auto time : times_) sum += time;
  json::object line;
  line["sent"] = sent_count_;
  line["answered"] = times_.size();
  if (!times_.empty()) {
    const auto [least, most] = std::ranges::minmax(times_);
    const auto mean = milliseconds(sum) / static_cast<double>(times_.size());
    line["min_ms"] = milliseconds(least);
    line["avg_ms"] = mean;
    line["max_ms"] = milliseconds(most);
    if (!options_.is_json)
      fmt::print("{} sent, {} answered; min/avg/max {:.3f}/{:.3f}/{:.3f} ms\n", sent_count_,
                 times_.size(), milliseconds(least), mean, milliseconds(most));
  } else if (!options_.is_json) {
    fmt::print("{} sent, 0 answered\n", sent_count_);
  }
  print("summary", std::move(line));
}

void Pinging::print(const char* event, json::object line) const {
  if (options_.is_json) {
    line["schema"] = "pyrsia.ping/1";
    line["event"] = event;
    line["peer_id"] = peer_.to_string();
    fmt::print("{}\n", json::serialize(line));
  }
  std::fflush(stdout);
}

ExitCode Pinging::exit_code() const {
  if (times_.empty()) return ExitCode::unreachable;
  if (times_.size() < sent_count_) return ExitCode::degraded;
  return is_relayed_ ? ExitCode::relayed : ExitCode::success;
}

}  // namespace

ExitCode run_ping(const Options& options) {
  const auto identity = measuring_identity(options);
  if (identity.complaint) {
    complain(*identity.complaint);
    return identity.complaint->code;
  }
  if (options.address->peer_id() == identity.key->peer_id()) {
    complain({ExitCode::usage, "that is our own peer id"});
    return ExitCode::usage;
  }
  Runtime runtime;
  auto host = Host::make(runtime, *identity.key, measuring_config(options));
  if (!host) {
    complain({ExitCode::bad_config, std::string(in_words(host.error()))});
    return ExitCode::bad_config;
  }
  Pinging pinging(runtime.env(), **host, options);
  const auto ended = runtime.run(pinging.run(), [&](int) { pinging.ask_to_stop(); });
  if (!ended) complain({ExitCode::unreachable, std::string(in_words(ended.error()))});
  return pinging.exit_code();
}

}  // namespace pyrsia::app

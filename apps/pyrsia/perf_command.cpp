#include "base/in_words.hpp"
#include "measuring.hpp"
#include "protocols/perf/exchange.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <array>
#include <cstdio>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

constexpr Duration kReportInterval = std::chrono::seconds(1);

/// So that clients which are told an IP and a port only know whom to expect: a secret of nobody.
KeyPair harness_key() {
  const std::array<std::uint8_t, 32> seed{};
  return KeyPair::from_seed(seed);
}

/// One run as a client, with a line each second. What the lines say is the harness's.
class Measuring {
 public:
  Measuring(Env& env, Host& host, const Options& options)
      : env_(env), host_(host), options_(options), tasks_(env) {}

  Task<> run();
  bool is_done() const { return is_done_; }
  /// Why there is no connection, if there is more to say than the error does.
  const std::string& detail() const { return detail_; }

 private:
  Task<> run_started();
  Task<> measure();
  Task<> report();
  void print(const char* type, Duration time, const perf::Progress& since) const;

  Env& env_;
  Host& host_;
  const Options& options_;
  perf::Progress progress_;
  bool is_done_ = false;
  std::string detail_;
  TaskGroup tasks_;
};

Task<> Measuring::run() {
  PYRSIA_CO_TRY(co_await host_.start(nullptr));
  const auto ended = co_await run_started();
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  PYRSIA_CO_TRY(co_await host_.stop());
  co_return ended;
}

Task<> Measuring::run_started() {
  PYRSIA_CO_TRY(co_await connect_to(host_, *options_.address, &detail_));
  const auto begin = env_.now();
  tasks_.spawn(report());
  PYRSIA_CO_TRY(co_await measure());
  const perf::Progress nothing;
  print("final", env_.now() - begin, nothing);
  is_done_ = true;
  co_return ok;
}

Task<> Measuring::measure() {
  const std::string protocol(perf::kProtocol);
  auto opening = host_.open_stream(*options_.address->peer_id(), protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  co_return co_await perf::run(*stream, options_.upload_bytes, options_.download_bytes, progress_);
}

Task<> Measuring::report() {
  for (;;) {
    const auto before = progress_;
    const auto begin = env_.now();
    PYRSIA_CO_TRY(co_await env_.sleep_for(kReportInterval));
    print("intermediary", env_.now() - begin, before);
  }
}

void Measuring::print(const char* type, Duration time, const perf::Progress& since) const {
  json::object line;
  line["type"] = type;
  line["timeSeconds"] = std::chrono::duration<double>(time).count();
  line["uploadBytes"] = progress_.uploaded_bytes - since.uploaded_bytes;
  line["downloadBytes"] = progress_.downloaded_bytes - since.downloaded_bytes;
  fmt::print("{}\n", json::serialize(line));
  std::fflush(stdout);
}

Task<> serve(Host& host, Event& stop_asked) {
  std::string detail;
  const auto started = co_await host.start(&detail);
  if (!started) {
    complain({ExitCode::try_later, detail});
    co_return started;
  }
  for (const auto& address : host.listen_addresses())
    fmt::print("{}\n", address.with_peer(host.peer_id()).to_string());
  std::fflush(stdout);
  PYRSIA_CO_TRY(co_await stop_asked.wait());
  co_return co_await host.stop();
}

ExitCode run_server(Runtime& runtime, Host& host) {
  Event stop_asked(runtime.env().executor());
  const auto ended = runtime.run(serve(host, stop_asked), [&](int) { stop_asked.notify(); });
  return ended ? ExitCode::success : ExitCode::try_later;
}

ExitCode run_client(Runtime& runtime, Host& host, const Options& options) {
  Measuring measuring(runtime.env(), host, options);
  const auto ended = runtime.run(measuring.run());
  if (measuring.is_done()) return ExitCode::success;
  auto why = ended ? std::string("interrupted") : std::string(in_words(ended.error()));
  if (!measuring.detail().empty()) why += " (" + measuring.detail() + ")";
  complain({ExitCode::unreachable, options.address->to_string() + ": " + why});
  return ExitCode::unreachable;
}

}  // namespace

ExitCode run_perf(const Options& given) {
  auto options = given;
  auto identity = measuring_identity(options);
  if (options.is_perf_server && !options.has_key_file) identity.key = harness_key();
  if (identity.complaint) {
    complain(*identity.complaint);
    return identity.complaint->code;
  }
  auto config = measuring_config(options);
  if (options.is_perf_server) {
    config.listen = {options.address->without_peer()};
    config.serves_perf = true;
  } else if (!options.address->peer_id()) {
    options.address = options.address->with_peer(harness_key().peer_id());
  }
  Runtime runtime;
  auto host = Host::make(runtime, *identity.key, std::move(config));
  if (!host) {
    complain({ExitCode::usage, fmt::format("{}: {}", options.address->to_string(),
                                           std::string(in_words(host.error())))});
    return ExitCode::usage;
  }
  if (options.is_perf_server) return run_server(runtime, **host);
  return run_client(runtime, **host, options);
}

}  // namespace pyrsia::app

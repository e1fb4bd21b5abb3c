#pragma once

#include "runtime/env.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>

namespace pyrsia::sim {

/// Virtual time, shared by all that is simulated. Time moves only when every task is waiting, and
/// then jumps straight to the next timer, so a test of hours ends in milliseconds, the same on
/// each run with the same seed.
class World {
 public:
  explicit World(std::uint64_t seed = 1);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  asio::any_io_executor executor() { return io_.get_executor(); }
  TimePoint now() const { return now_; }
  TimerQueue& timers() { return timers_; }
  std::uint64_t seed() const { return seed_; }
  std::mt19937_64& random() { return random_; }
  /// A generator of its own for each `stream`, repeatable from the seed: what one part of the
  /// world draws does not change what another gets.
  std::mt19937_64 random_stream(std::uint64_t stream) const;
  /// An Env without a network, for flows over a pipe.
  Env& env() { return *env_; }

  /// Runs `tasks` together until all have ended. A task that can never end (no timer is left to
  /// wake it, or the run limit has passed) gets `Errc::deadlock`, is cancelled, and
  /// deadlock_report() says who waits for what. Not reentrant: call it from the test body.
  template <class... T>
  std::tuple<Result<T>...> run(Task<T>... tasks) {
    std::tuple<std::shared_ptr<Run<T>>...> runs{start(std::move(tasks))...};
    const auto ended_count = [&] {
      return std::apply(
          [](const auto&... run) { return (std::size_t(run->has_ended()) + ... + 0); }, runs);
    };
    const auto deadline = now_ + run_limit_;
    drain();
    while (ended_count() < sizeof...(T) && advance(deadline)) {
    }
    auto results = std::apply(
        [](auto&... run) {
          return std::tuple(run->has_ended() ? *std::move(run->end) : Errc::deadlock...);
        },
        runs);
    if (ended_count() < sizeof...(T)) {
      report_deadlock(sizeof...(T) - ended_count(), sizeof...(T));
      // The tasks refer to what the caller is about to destroy.
      std::apply([](auto&... run) { (run->cancel(), ...); }, runs);
      drain();
    }
    return results;
  }

  /// Lets everything go on for `duration`.
  void run_for(Duration duration);

  /// How long run() goes on in virtual time before it calls a deadlock; 24 h at first. Programs
  /// with periodic timers never run out of events, so a short limit makes a hang cheap.
  void set_run_limit(Duration limit) { run_limit_ = limit; }
  /// What waited for what when run() last returned `Errc::deadlock`; empty if it never did.
  const std::string& deadlock_report() const { return deadlock_report_; }
  /// Adds to what deadlock_report() says; an empty function takes that of `owner` away.
  void set_describer(const void* owner, std::function<std::string()> describe);

  /// Marks a rare path: counts how often `name` was passed in this world.
  void probe(std::string_view name);
  /// How often probe(name) was called. A test of many seeds requires that its rare paths were seen.
  std::uint64_t probe_count(std::string_view name) const;
  const std::map<std::string, std::uint64_t, std::less<>>& probes() const { return probes_; }

 private:
  /// One task of run(). Outlives run() only if the task could not even be cancelled.
  template <class T>
  struct Run {
    std::optional<Result<T>> end;
    asio::cancellation_signal cancellation;
    bool is_over = false;

    bool has_ended() const { return end.has_value(); }
    void cancel() {
      if (!is_over) cancellation.emit(asio::cancellation_type::terminal);
    }
  };

  template <class T>
  static asio::awaitable<void> store(Task<T> task, std::shared_ptr<Run<T>> run) {
    run->end.emplace(co_await std::move(task));
  }
  template <class T>
  std::shared_ptr<Run<T>> start(Task<T> task) {
    auto run = std::make_shared<Run<T>>();
    auto on_end = [run](std::exception_ptr thrown) {
      run->is_over = true;
      if (!run->end) run->end.emplace(Errc::cancelled);
      if (thrown) rethrow_unless_cancelled(thrown);
    };
    asio::co_spawn(io_, store(std::move(task), run),
                   asio::bind_cancellation_slot(run->cancellation.slot(), std::move(on_end)));
    return run;
  }

  static void rethrow_unless_cancelled(const std::exception_ptr& thrown);
  void report_deadlock(std::size_t waiting_count, std::size_t task_count);
  /// Runs what can run now.
  void drain();
  /// Moves to the next timer and runs what can run then. False if there is none until `deadline`.
  bool advance(TimePoint deadline);

  std::uint64_t seed_;
  TimePoint now_{};
  TimerQueue timers_;  // Before io_: what io_ destroys disarms its timers.
  asio::io_context io_{1};
  std::mt19937_64 random_;
  std::unique_ptr<Env> env_;
  Duration run_limit_ = std::chrono::hours(24);
  std::map<const void*, std::function<std::string()>> describers_;
  std::string deadlock_report_;
  std::map<std::string, std::uint64_t, std::less<>> probes_;
};

/// The seeds of a test that runs in many worlds: 1 … `count`, or the one of the environment
/// variable PYRSIA_SEED, so that a failure can be repeated alone.
std::vector<std::uint64_t> seeds(std::size_t count);
/// For SCOPED_TRACE: how to repeat a failure of `seed`.
std::string seed_trace(std::uint64_t seed);

}  // namespace pyrsia::sim

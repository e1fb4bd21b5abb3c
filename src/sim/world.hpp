#pragma once

#include "runtime/env.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <random>
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
  std::mt19937_64& random() { return random_; }
  /// An Env without a network, for flows over a pipe.
  Env& env() { return *env_; }

  /// Runs `tasks` together until all have ended. A task that can never end (no timer is left to
  /// wake it) gets `Errc::deadlock`. Not reentrant: call it from the test body.
  template <class... T>
  std::tuple<Result<T>...> run(Task<T>... tasks) {
    std::tuple<std::optional<Result<T>>...> ends;
    std::apply([&](auto&... end) { (start(std::move(tasks), end), ...); }, ends);
    const auto all_ended = [&] {
      return std::apply([](const auto&... end) { return (end.has_value() && ...); }, ends);
    };
    drain();
    while (!all_ended() && advance()) {
    }
    return std::apply(
        [](auto&... end) { return std::tuple(end ? *std::move(end) : Errc::deadlock...); }, ends);
  }

  /// Lets everything go on for `duration`.
  void run_for(Duration duration);

 private:
  template <class T>
  static asio::awaitable<void> store(Task<T> task, std::optional<Result<T>>& end) {
    end.emplace(co_await std::move(task));
  }
  template <class T>
  void start(Task<T> task, std::optional<Result<T>>& end) {
    asio::co_spawn(io_, store(std::move(task), end), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }

  /// Runs what can run now.
  void drain();
  /// Moves to the next timer and runs what can run then. False if there is none.
  bool advance();

  asio::io_context io_{1};
  TimePoint now_{};
  TimerQueue timers_;
  std::mt19937_64 random_;
  std::unique_ptr<Env> env_;
};

}  // namespace pyrsia::sim

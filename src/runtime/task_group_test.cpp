#include "runtime/task_group.hpp"

#include "runtime/event.hpp"
#include "runtime/timeout.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

struct Probe {
  int started = 0;
  int finished = 0;
  int destroyed = 0;
};

Task<> sleeper(Env& env, Probe& probe, Duration duration) {
  struct Local {
    Probe& probe;
    ~Local() { ++probe.destroyed; }
  };
  const Local local{probe};
  ++probe.started;
  PYRSIA_CO_TRY(co_await env.sleep_for(duration));
  ++probe.finished;
  co_return ok;
}

Task<> stop_after(Env& env, TaskGroup& group, Duration duration) {
  PYRSIA_CO_TRY(co_await env.sleep_for(duration));
  group.cancel();
  co_return co_await group.join();
}

TEST(TaskGroup, CancelStopsTheSlowAndJoinWaitsForAll) {
  sim::World world;
  Env& env = world.env();
  Probe probe;
  TaskGroup group(env);
  group.spawn(sleeper(env, probe, 1s));
  group.spawn(sleeper(env, probe, 1h));

  auto [stopped] = world.run(stop_after(env, group, 2s));

  EXPECT_TRUE(stopped);
  EXPECT_EQ(probe.started, 2);
  EXPECT_EQ(probe.finished, 1);
  EXPECT_EQ(probe.destroyed, 2);
  EXPECT_EQ(env.now(), TimePoint(2s));
}

Task<> slow_inside_timeout(Env& env, Probe& probe) {
  co_return co_await with_timeout(env, 10min, sleeper(env, probe, 1h));
}

TEST(TaskGroup, CancellationReachesThroughATimeout) {
  sim::World world;
  Env& env = world.env();
  Probe probe;
  TaskGroup group(env);
  group.spawn(slow_inside_timeout(env, probe));

  auto [stopped] = world.run(stop_after(env, group, 1s));

  EXPECT_TRUE(stopped);
  EXPECT_EQ(probe.finished, 0);
  EXPECT_EQ(probe.destroyed, 1);
  EXPECT_EQ(env.now(), TimePoint(1s));
}

Task<> join_then_sleep(Env& env, TaskGroup& inner, Probe& probe) {
  PYRSIA_CO_TRY(co_await inner.join());
  co_return co_await sleeper(env, probe, 1h);
}

TEST(TaskGroup, ATaskCanBeCancelledAgainAfterItsJoin) {
  sim::World world;
  Env& env = world.env();
  Probe probe;
  TaskGroup inner(env);
  TaskGroup outer(env);
  inner.spawn(sleeper(env, probe, 1s));
  outer.spawn(join_then_sleep(env, inner, probe));

  auto [stopped] = world.run(stop_after(env, outer, 2s));

  EXPECT_TRUE(stopped);
  EXPECT_EQ(probe.destroyed, 2);
  EXPECT_EQ(env.now(), TimePoint(2s));
}

Task<> wait_for_group(TaskGroup& inner) {
  co_return co_await inner.wait_until_empty();
}

TEST(TaskGroup, AWaitForOtherTasksCanBeCancelled) {
  sim::World world;
  Env& env = world.env();
  Probe probe;
  TaskGroup inner(env);
  TaskGroup outer(env);
  inner.spawn(sleeper(env, probe, 3s));
  outer.spawn(wait_for_group(inner));

  auto [stopped] = world.run(stop_after(env, outer, 1s));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(env.now(), TimePoint(1s));

  auto [joined] = world.run(inner.join());
  EXPECT_TRUE(joined);
  EXPECT_EQ(probe.finished, 1);
  EXPECT_EQ(env.now(), TimePoint(3s));
}

TEST(Timeout, ReturnsTheResultWhenInTime) {
  sim::World world;
  Env& env = world.env();
  Probe probe;
  auto [result] = world.run(with_timeout(env, 5s, sleeper(env, probe, 1s)));
  EXPECT_TRUE(result);
  EXPECT_EQ(env.now(), TimePoint(1s));
}

Task<> fails_fast(Env& env) {
  PYRSIA_CO_TRY(co_await env.sleep_for(1ms));
  co_return Errc::closed;
}

TEST(Timeout, AnErrorEndsItAtOnce) {
  sim::World world;
  Env& env = world.env();
  auto [result] = world.run(with_timeout(env, 5s, fails_fast(env)));
  EXPECT_EQ(result.error(), Errc::closed);
  EXPECT_EQ(env.now(), TimePoint(1ms));
}

TEST(World, ReportsADeadlock) {
  sim::World world;
  Env& env = world.env();
  Event never(env.executor());
  auto [result] = world.run(never.wait());
  EXPECT_EQ(result.error(), Errc::deadlock);
}

}  // namespace
}  // namespace pyrsia

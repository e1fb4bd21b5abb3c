#include "runtime/beside.hpp"

#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

struct Trace {
  bool has_ended = false;
  bool is_destroyed = false;
};

/// Errors: `Errc::refused`, if it is to fail.
Task<int> work(Env& env, Trace& trace, Duration duration, bool fails) {
  struct Local {
    Trace& trace;
    ~Local() { trace.is_destroyed = true; }
  };
  const Local local{trace};
  PYRSIA_CO_TRY(co_await env.sleep_for(duration));
  trace.has_ended = true;
  if (fails) co_return Errc::refused;
  co_return 7;
}

Task<> aside(Env& env, Trace& trace, Duration duration) {
  PYRSIA_CO_TRY(co_await work(env, trace, duration, false));
  co_return ok;
}

Task<int> both(Env& env, Trace& main, Trace& side, Duration main_takes, Duration side_takes) {
  auto one = work(env, main, main_takes, false);
  auto other = aside(env, side, side_takes);
  co_return co_await with_beside(env, std::move(one), std::move(other));
}

Task<> store(Env& env, Trace& main, Trace& side, std::optional<Result<int>>& out) {
  auto running = both(env, main, side, 1h, 2h);
  out.emplace(co_await std::move(running));
  co_return ok;
}

TEST(Beside, TheEndOfTheWorkEndsWhatRunsBesideIt) {
  sim::World world;
  Trace main, side;
  auto [done] = world.run(both(world.env(), main, side, 1s, 1h));
  EXPECT_EQ(done.value(), 7);
  EXPECT_EQ(world.now(), TimePoint(1s));
  EXPECT_TRUE(side.is_destroyed);
  EXPECT_FALSE(side.has_ended);
}

TEST(Beside, WhatEndsFirstBesideTheWorkDoesNotEndIt) {
  sim::World world;
  Trace main, side;
  auto [done] = world.run(both(world.env(), main, side, 2s, 1s));
  EXPECT_EQ(done.value(), 7);
  EXPECT_EQ(world.now(), TimePoint(2s));
  EXPECT_TRUE(side.has_ended);
}

TEST(Beside, TheErrorOfTheWorkIsReturned) {
  sim::World world;
  Trace main, side;
  auto one = work(world.env(), main, 1s, true);
  auto other = aside(world.env(), side, 1h);
  auto [done] = world.run(with_beside(world.env(), std::move(one), std::move(other)));
  EXPECT_EQ(done.error(), Errc::refused);
}

TEST(Beside, ACancelledCallerEndsBothBeforeItEnds) {
  sim::World world;
  Trace main, side;
  std::optional<Result<int>> out;
  TaskGroup group(world.env());
  group.spawn(store(world.env(), main, side, out));
  world.run_for(1s);
  group.cancel();
  world.run_for(1s);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_TRUE(main.is_destroyed);
  EXPECT_TRUE(side.is_destroyed);
  EXPECT_FALSE(main.has_ended);
  EXPECT_FALSE(side.has_ended);
}

Task<> all_of(Env& env, std::vector<Trace>& traces) {
  std::vector<Task<>> tasks;
  for (std::size_t i = 0; i < traces.size(); ++i)
    tasks.push_back(aside(env, traces[i], std::chrono::seconds(i + 1)));
  co_await run_all(env, std::move(tasks));
  co_return ok;
}

TEST(RunAll, EndsWithTheLast) {
  for (const std::size_t count : {0u, 1u, 3u}) {
    sim::World world;
    std::vector<Trace> traces(count);
    auto [done] = world.run(all_of(world.env(), traces));
    EXPECT_TRUE(done);
    EXPECT_EQ(world.now(), TimePoint(std::chrono::seconds(count)));
    for (const auto& trace : traces) EXPECT_TRUE(trace.has_ended && trace.is_destroyed);
  }
}

TEST(RunAll, ACancelledCallerEndsThemAllBeforeItEnds) {
  sim::World world;
  std::vector<Trace> traces(3);
  TaskGroup group(world.env());
  group.spawn(all_of(world.env(), traces));
  world.run_for(1500ms);
  group.cancel();
  world.run_for(1ms);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_TRUE(traces[0].has_ended);
  EXPECT_FALSE(traces[1].has_ended || traces[2].has_ended);
  for (const auto& trace : traces) EXPECT_TRUE(trace.is_destroyed);
}

}  // namespace
}  // namespace pyrsia

#include "sim/world.hpp"

#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

Task<> tick_for_ever(Env& env) {
  for (;;) PYRSIA_CO_TRY(co_await env.sleep_for(1min));
}

Task<> hold(Event& event, bool& is_released) {
  struct Guard {
    explicit Guard(bool& f) : flag(f) {}
    ~Guard() { flag = true; }
    bool& flag;
  };
  const Guard guard(is_released);
  co_return co_await event.wait();
}

TEST(World, CancelsAndReleasesATaskThatCanNeverEnd) {
  World world;
  Event never(world.executor());
  bool is_released = false;
  auto [stuck, slept] = world.run(hold(never, is_released), world.env().sleep_for(1s));
  EXPECT_EQ(stuck.error(), Errc::deadlock);
  EXPECT_TRUE(slept);
  EXPECT_TRUE(is_released);
  EXPECT_EQ(world.deadlock_report(),
            "1 of 2 tasks wait at 1000.000000 ms, seed 1; no timer is left\n");
}

TEST(World, PeriodicTimersDoNotHideADeadlock) {
  World world(5);
  world.set_run_limit(1h);
  auto [stuck] = world.run(tick_for_ever(world.env()));
  EXPECT_EQ(stuck.error(), Errc::deadlock);
  EXPECT_EQ(world.now(), TimePoint(1h));
  EXPECT_EQ(world.deadlock_report(),
            "1 of 1 tasks wait at 3600000.000000 ms, seed 5; the run limit has passed\n");
}

TEST(World, CountsTheRarePathsThatWerePassed) {
  World world;
  EXPECT_EQ(world.probe_count("rare"), 0U);
  world.env().probe("rare");
  world.env().probe("rare");
  EXPECT_EQ(world.probe_count("rare"), 2U);
  EXPECT_EQ(world.probes().size(), 1U);
}

TEST(World, StreamsOfNumbersDoNotDependOnEachOther) {
  const World one(1);
  const World two(2);
  EXPECT_EQ(one.random_stream(3)(), World(1).random_stream(3)());
  EXPECT_NE(one.random_stream(3)(), one.random_stream(4)());
  EXPECT_NE(one.random_stream(3)(), two.random_stream(3)());
}

TEST(Seeds, AreManyOrTheOneThatIsToBeRepeated) {
  const char* const given = std::getenv("PYRSIA_SEED");
  const std::string before = given ? given : "";
  unsetenv("PYRSIA_SEED");
  EXPECT_EQ(seeds(3), (std::vector<std::uint64_t>{1, 2, 3}));
  setenv("PYRSIA_SEED", "17", 1);
  EXPECT_EQ(seeds(3), (std::vector<std::uint64_t>{17}));
  if (given) {
    setenv("PYRSIA_SEED", before.c_str(), 1);
  } else {
    unsetenv("PYRSIA_SEED");
  }
  EXPECT_EQ(seed_trace(17), "PYRSIA_SEED=17 repeats this run");
}

}  // namespace
}  // namespace pyrsia::sim

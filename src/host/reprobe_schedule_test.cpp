#include "host/reprobe_schedule.hpp"

#include <gtest/gtest.h>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;

const auto kOne = *Multiaddr::parse("/ip4/5.6.7.8/tcp/4001");
const auto kTwo = *Multiaddr::parse("/ip4/5.6.7.8/udp/4001");

TEST(ReprobeSchedule, PausesDoubleWhileNothingIsConfirmed) {
  ReprobeSchedule schedule;
  TimePoint now{};
  schedule.set_addresses({kOne}, now);
  EXPECT_EQ(schedule.next_round(), now + 2s);
  for (const auto pause : {4s, 8s, 16s, 32s, 64s, 120s, 120s}) {
    now = *schedule.next_round() + 1ms;
    schedule.tick(now);
    EXPECT_EQ(*schedule.next_round(), now + pause);
  }
}

TEST(ReprobeSchedule, WhatIsConfirmedIsAskedAboutSeldom) {
  ReprobeSchedule schedule;
  TimePoint now{};
  schedule.set_addresses({kOne}, now);
  schedule.judged(kOne, Reachability::reachable, true, now);
  EXPECT_EQ(schedule.next_round(), now + 5min);
  schedule.judged(kOne, Reachability::unreachable, true, now);
  EXPECT_EQ(schedule.next_round(), now + 1min);
  schedule.judged(kOne, Reachability::unreachable, false, now);
  EXPECT_EQ(schedule.next_round(), now + 2s);
}

TEST(ReprobeSchedule, TheFirstThatIsDueCounts) {
  ReprobeSchedule schedule;
  schedule.set_addresses({kOne, kTwo}, TimePoint{});
  schedule.judged(kOne, Reachability::reachable, true, TimePoint{});
  EXPECT_EQ(schedule.next_round(), TimePoint(2s));
  schedule.set_addresses({kOne}, TimePoint{});
  EXPECT_EQ(schedule.next_round(), TimePoint(5min));
  schedule.set_addresses({}, TimePoint{});
  EXPECT_FALSE(schedule.next_round());
}

TEST(ReprobeSchedule, DoubtIsToldOnce) {
  ReprobeSchedule schedule;
  schedule.set_addresses({kOne, kTwo}, TimePoint{});
  EXPECT_TRUE(schedule.take_doubted().empty());
  schedule.doubt(kTwo, TimePoint{});
  EXPECT_EQ(schedule.take_doubted(), std::vector{kTwo});
  EXPECT_TRUE(schedule.take_doubted().empty());
  schedule.doubt_all();
  EXPECT_EQ(schedule.take_doubted().size(), 2U);
}

TEST(ReprobeSchedule, OfTheDoubtsOfOthersTwelveAMinuteCountAndOurOwnAlways) {
  ReprobeSchedule schedule;
  TimePoint now(1h);
  schedule.set_addresses({kOne}, now);
  const auto counted = [&] {
    std::size_t count = 0;
    for (int i = 0; i < 100; ++i) {
      schedule.doubt(kOne, now);
      count += schedule.take_doubted().size();
    }
    return count;
  };
  EXPECT_EQ(counted(), 12U);
  now += 59s;
  EXPECT_EQ(counted(), 0U);
  schedule.doubt_all();
  EXPECT_EQ(schedule.take_doubted().size(), 1U);
  now += 1s;
  EXPECT_EQ(counted(), 12U);
}

}  // namespace
}  // namespace pyrsia::host

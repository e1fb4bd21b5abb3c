#include "host/wake_detector.hpp"

#include <gtest/gtest.h>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;

struct Clocks {
  TimePoint now{};
  WallTime wall_now{};
  Duration slept{0};

  void pass(Duration duration) {
    now += duration;
    wall_now += duration;
  }
  void sleep(Duration duration) {
    slept += duration;
    wall_now += duration;
  }
  std::string_view look(WakeDetector& detector) const {
    return detector.look(now, wall_now, slept);
  }
};

TEST(WakeDetector, EverySleepIsSeenOnceHoweverShort) {
  for (const Duration duration : {Duration(200ms), Duration(1s), Duration(1000h)}) {
    WakeDetector detector;
    Clocks clocks;
    clocks.slept = 5h;  // Before we were there.
    EXPECT_EQ(clocks.look(detector), "");
    clocks.pass(1s);
    clocks.sleep(duration);
    EXPECT_EQ(clocks.look(detector), "this machine was asleep") << duration.count();
    clocks.pass(1s);
    EXPECT_EQ(clocks.look(detector), "");
  }
}

TEST(WakeDetector, ASleepOverWhichTheCalendarWasSetBackIsSeen) {
  WakeDetector detector;
  Clocks clocks;
  EXPECT_EQ(clocks.look(detector), "");
  clocks.sleep(1h);
  clocks.wall_now -= 3h;
  EXPECT_EQ(clocks.look(detector), "this machine was asleep");
}

TEST(WakeDetector, TwoClocksThatAreReadOneAfterTheOtherAreNoSleep) {
  WakeDetector detector;
  Clocks clocks;
  clocks.slept = 1h;
  EXPECT_EQ(clocks.look(detector), "");
  for (const Duration too_little : {Duration(30ms), Duration(0), Duration(700ms), Duration(0)}) {
    clocks.pass(1s);
    clocks.slept = 1h - too_little;
    EXPECT_EQ(clocks.look(detector), "");
  }
}

TEST(WakeDetector, ACalendarThatRunsAheadMayBeAPausedMachineAndOneThatGoesBackIsNothing) {
  WakeDetector detector;
  Clocks clocks;
  EXPECT_EQ(clocks.look(detector), "");
  clocks.wall_now -= 24h;
  EXPECT_EQ(clocks.look(detector), "");
  clocks.wall_now += 4s;
  EXPECT_EQ(clocks.look(detector), "");
  clocks.wall_now += 8h;
  EXPECT_EQ(clocks.look(detector), "the calendar has jumped ahead");
  EXPECT_EQ(clocks.look(detector), "");
}

}  // namespace
}  // namespace pyrsia::host

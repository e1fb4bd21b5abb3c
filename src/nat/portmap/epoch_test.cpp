#include "nat/portmap/epoch.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;

EpochSample at(std::int64_t our_seconds, std::uint32_t its_seconds) {
  return {its_seconds, TimePoint(std::chrono::seconds(our_seconds))};
}

TEST(Epoch, TheFirstSampleAndAnHonestClockAreFine) {
  EpochWatch watch;
  EXPECT_TRUE(watch.add(at(1000, 77)));
  EXPECT_TRUE(watch.add(at(1060, 137)));
  EXPECT_TRUE(watch.add(at(4660, 3737)));
}

TEST(Epoch, AClockThatGoesBackIsARestart) {
  EpochWatch watch;
  EXPECT_TRUE(watch.add(at(0, 5000)));
  EXPECT_TRUE(watch.add(at(0, 4999)));  // Overtaken by a second: allowed.
  EXPECT_FALSE(watch.add(at(1, 4990)));
  EXPECT_TRUE(watch.add(at(2, 4991)));  // From there on it is measured anew.
}

TEST(Epoch, ARestartIsSeenEvenIfTheNewClockIsAheadOfNothing) {
  EpochWatch watch;
  EXPECT_TRUE(watch.add(at(0, 10)));
  // An hour later the clock says two minutes: it restarted meanwhile.
  EXPECT_FALSE(watch.add(at(3600, 120)));
}

TEST(Epoch, AClockThatJumpsAheadIsARestartToo) {
  EpochWatch watch;
  EXPECT_TRUE(watch.add(at(0, 10)));
  EXPECT_FALSE(watch.add(at(60, 5000)));
}

TEST(Epoch, ASixteenthOfDriftAndTwoSecondsAreForgiven) {
  EpochWatch slow;
  EXPECT_TRUE(slow.add(at(0, 0)));
  EXPECT_TRUE(slow.add(at(1600, 1498)));
  EpochWatch too_slow;
  EXPECT_TRUE(too_slow.add(at(0, 0)));
  EXPECT_FALSE(too_slow.add(at(1600, 1497)));
}

TEST(Epoch, TheWidestNumbersDoNotOverflow) {
  EpochWatch watch;
  EXPECT_TRUE(watch.add(at(0, 0)));
  EXPECT_FALSE(watch.add(at(1, UINT32_MAX)));
  EXPECT_FALSE(watch.add(at(2, 0)));
}

TEST(RestartPace, TheFirstRestartIsMendedAtOnceAndEndlessOnesMoreAndMoreSeldom) {
  RestartPace pace;
  TimePoint now{};
  EXPECT_EQ(pace.next(now), now);
  const auto begin = now;
  int count = 0;
  for (; now - begin < 1h; ++count) now = pace.next(now);
  EXPECT_LE(count, 15);
  // One that waits already is not put off by the next.
  const auto planned = pace.next(now);
  EXPECT_EQ(pace.next(now + 1s), planned);
}

TEST(RestartPace, AfterAQuietTimeARestartIsMendedAtOnceAgain) {
  RestartPace pace;
  TimePoint now{};
  for (int i = 0; i < 3; ++i) now = pace.next(now);
  now += 1h;
  EXPECT_EQ(pace.next(now), now);
}

}  // namespace
}  // namespace pyrsia::portmap

#include "swarm/black_hole.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

void record(BlackHoleDetector& detector, int count, bool is_success) {
  for (int i = 0; i < count; ++i) detector.record(is_success);
}

TEST(BlackHoleDetector, NeedsAFullWindowWithFewSuccesses) {
  BlackHoleDetector detector{BlackHoleRules()};
  record(detector, 99, false);
  EXPECT_FALSE(detector.is_black_hole());
  record(detector, 1, false);
  EXPECT_TRUE(detector.is_black_hole());
  BlackHoleDetector fair{BlackHoleRules()};
  record(fair, 5, true);
  record(fair, 95, false);
  EXPECT_FALSE(fair.is_black_hole());
  record(fair, 1, false);  // The first success leaves the window.
  EXPECT_TRUE(fair.is_black_hole());
}

TEST(BlackHoleDetector, LetsOneInSoManyThrough) {
  BlackHoleDetector detector{BlackHoleRules{.window = 10, .min_successes = 1, .probe_interval = 4}};
  EXPECT_FALSE(detector.holds_back());
  record(detector, 10, false);
  int passed = 0;
  for (int i = 0; i < 40; ++i) passed += detector.holds_back() ? 0 : 1;
  EXPECT_EQ(passed, 10);
}

TEST(BlackHoleDetector, OneSuccessOpensItAgainAndTheWindowBeginsAnew) {
  BlackHoleDetector detector{BlackHoleRules{.window = 10, .min_successes = 2, .probe_interval = 4}};
  record(detector, 10, false);
  record(detector, 1, true);
  EXPECT_FALSE(detector.is_black_hole());
  record(detector, 8, false);
  EXPECT_FALSE(detector.is_black_hole());
  record(detector, 1, false);
  EXPECT_TRUE(detector.is_black_hole());
}

TEST(BlackHoleDetector, OnlySilenceIsEvidenceOfOne) {
  EXPECT_EQ(evidence_of(Error(), 1ms), true);
  EXPECT_EQ(evidence_of(Errc::refused, 1ms), true);
  EXPECT_EQ(evidence_of(Errc::wrong_peer, 1ms), true);
  EXPECT_EQ(evidence_of(Errc::timed_out, 15s), false);
  EXPECT_EQ(evidence_of(Errc::unreachable, 1ms), false);
  EXPECT_EQ(evidence_of(Errc::cancelled, 249ms), std::nullopt);
  EXPECT_EQ(evidence_of(Errc::cancelled, 250ms), false);
  EXPECT_EQ(evidence_of(Errc::limit_reached, 1s), std::nullopt);
}

}  // namespace
}  // namespace pyrsia::swarm

#include "nat/stun/transaction.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;

std::vector<std::int64_t> times_of(const RetransmitPlan& plan) {
  Retransmission retransmission(plan, TimePoint());
  std::vector<std::int64_t> times;
  while (!retransmission.is_over(retransmission.next())) {
    const auto now = retransmission.next();
    EXPECT_FALSE(retransmission.is_due(now - 1ns));
    EXPECT_TRUE(retransmission.is_due(now));
    times.push_back(now.time_since_epoch() / 1ms);
  }
  times.push_back(retransmission.next().time_since_epoch() / 1ms);
  return times;
}

// The example of RFC 8489, 6.2.1: 0, 500, 1500, 3500, 7500, 15500, 31500 ms; over at 39500 ms.
TEST(Retransmission, FollowsTheExampleOfTheRfc) {
  EXPECT_EQ(times_of(RetransmitPlan()),
            (std::vector<std::int64_t>{0, 500, 1500, 3500, 7500, 15500, 31500, 39500}));
  EXPECT_EQ(RetransmitPlan().total(), 39500ms);
}

TEST(Retransmission, TheQuickPlanIsOverAfterAboutASecond) {
  EXPECT_EQ(times_of(RetransmitPlan::quick()), (std::vector<std::int64_t>{0, 100, 300, 700, 1100}));
}

TEST(Retransmission, ALateCallerSendsOnceForEachTurn) {
  const RetransmitPlan plan;
  Retransmission retransmission(plan, TimePoint());
  EXPECT_TRUE(retransmission.is_due(TimePoint(10s)));
  EXPECT_FALSE(retransmission.is_due(TimePoint(10s)));
  EXPECT_EQ(retransmission.next(), TimePoint(10500ms));
  EXPECT_EQ(retransmission.sent_count(), 1);
}

}  // namespace
}  // namespace pyrsia::stun

#include "host/address_judge.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;
using enum Vote::Kind;
using enum pyrsia::Reachability;

struct AddressJudgeTest : testing::Test {
  /// A word of network `number`, one second after the last.
  bool add(Vote::Kind kind, int number, std::size_t asked = 3, bool trusts = false) {
    now += 1s;
    const auto network = std::to_string(number);
    return judge.add({kind, network, network, false, now}, trusts, asked);
  }

  TimePoint now{};
  AddressJudge judge;
};

TEST_F(AddressJudgeTest, OneSuccessFromAFreshIpIsProof) {
  EXPECT_TRUE(add(reached, 1));
  EXPECT_EQ(judge.status(), reachable);
  EXPECT_EQ(judge.confidence(), 1);
  EXPECT_FALSE(judge.is_confirmed());
}

TEST_F(AddressJudgeTest, ThreeNetworksConfirm) {
  add(reached, 1);
  add(reached, 1);
  EXPECT_EQ(judge.confidence(), 1);  // The same network again is no second witness.
  add(reached_from_known_ip, 2);
  add(reached, 3);
  EXPECT_TRUE(judge.is_confirmed());
}

TEST_F(AddressJudgeTest, KnownIpsAloneProveNothing) {
  for (int network = 1; network < 6; ++network) EXPECT_FALSE(add(reached_from_known_ip, network));
  EXPECT_EQ(judge.status(), unknown);
  EXPECT_TRUE(judge.is_known_ip_only());
}

TEST_F(AddressJudgeTest, KnownIpsLetInAndStrangersKeptOutIsAddressRestricted) {
  add(reached_from_known_ip, 1);
  add(not_reached, 2);
  EXPECT_TRUE(add(not_reached, 3));
  EXPECT_EQ(judge.status(), unreachable);
  EXPECT_TRUE(judge.is_address_restricted());
}

TEST_F(AddressJudgeTest, AKnownIpIsTrustedWhereNothingBetterCanBeHad) {
  EXPECT_TRUE(add(reached_from_known_ip, 1, 1, true));
  EXPECT_EQ(judge.status(), reachable);
  // Now another network can be asked, and is kept out, or says so.
  EXPECT_TRUE(add(not_reached, 2, 2, false));
  EXPECT_EQ(judge.status(), unknown);
  EXPECT_TRUE(add(not_reached, 3, 3, false));
  EXPECT_TRUE(judge.is_address_restricted());
}

TEST_F(AddressJudgeTest, OneFailureIsNotEnoughWhereTwoCanBeAsked) {
  EXPECT_FALSE(add(not_reached, 1));
  EXPECT_FALSE(add(not_reached, 1));
  EXPECT_EQ(judge.status(), unknown);
  EXPECT_TRUE(add(not_reached, 2));
  EXPECT_EQ(judge.status(), unreachable);
}

TEST_F(AddressJudgeTest, OneFailureIsEnoughWhereNobodyElseCanBeAsked) {
  EXPECT_TRUE(add(not_reached, 1, 1));
  EXPECT_EQ(judge.status(), unreachable);
}

TEST_F(AddressJudgeTest, OneFailureRipens) {
  add(not_reached, 1);
  EXPECT_FALSE(judge.ripen(now + 7s, 8s));
  EXPECT_TRUE(judge.ripen(now + 8s, 8s));
  EXPECT_EQ(judge.status(), unreachable);
}

TEST_F(AddressJudgeTest, AReachableAddressIsLostOnlyByThreeNetworksOfWhichOneHadReachedIt) {
  add(reached, 1);
  add(reached, 2);
  add(reached, 3);
  EXPECT_FALSE(add(not_reached, 4));
  EXPECT_EQ(judge.confidence(), 2);
  EXPECT_FALSE(add(not_reached, 5));
  EXPECT_FALSE(add(not_reached, 6));
  EXPECT_EQ(judge.status(), reachable);  // None of these had ever reached it.
  EXPECT_TRUE(add(not_reached, 1));
  EXPECT_EQ(judge.status(), unreachable);
}

TEST_F(AddressJudgeTest, OneMoreSuccessMakesAllFailuresNoise) {
  add(reached, 1);
  add(not_reached, 2);
  add(not_reached, 3);
  add(reached, 1);
  EXPECT_EQ(judge.contrary_networks(), 0U);
  EXPECT_FALSE(add(not_reached, 4));
}

TEST_F(AddressJudgeTest, ALoneServerMustSayItFourTimes) {
  add(reached, 1, 1);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(add(not_reached, 1, 1));
  EXPECT_TRUE(add(not_reached, 1, 1));
}

TEST_F(AddressJudgeTest, AForwardedPortIsNoticedByOneSuccess) {
  for (int network = 1; network < 4; ++network) add(not_reached, network);
  EXPECT_TRUE(judge.is_confirmed());
  EXPECT_TRUE(add(reached, 1));
  EXPECT_EQ(judge.status(), reachable);
}

TEST_F(AddressJudgeTest, OldVotesExpire) {
  add(reached, 1);
  EXPECT_FALSE(judge.expire(now + 15min));
  EXPECT_TRUE(judge.expire(now + 15min + 1s));
  EXPECT_EQ(judge.status(), unknown);
  EXPECT_TRUE(judge.is_empty());
}

TEST_F(AddressJudgeTest, StrangersDoNotPushServersOut) {
  for (int network = 1; network < 4; ++network) add(reached, network);
  for (int i = 0; i < 1000; ++i) {
    const auto network = "stranger " + std::to_string(i);
    judge.add({reached, network, network, true, now}, false, 3);
  }
  EXPECT_LE(judge.votes().size(), 16U);
  EXPECT_TRUE(judge.has_reached_us("1") && judge.has_reached_us("2") && judge.has_reached_us("3"));
}

TEST(AddressJudgeProperties, HoldForAnySequence) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    AddressJudge judge;
    TimePoint now{};
    for (int step = 0; step < 200; ++step) {
      now += std::chrono::seconds(random() % 120);
      judge.expire(now);
      const auto before = judge;
      const auto kind = Vote::Kind(random() % 3);
      const auto network = std::to_string(random() % 5);
      const bool has_changed = judge.add({kind, network, network, false, now}, false, 5);
      // Never made reachable but by a success from a fresh IP.
      if (judge.status() == reachable && before.status() != reachable) {
        ASSERT_EQ(kind, reached) << seed << " " << step;
      }
      ASSERT_EQ(has_changed, judge.status() != before.status());
      // A success never harms, a failure never helps.
      if (kind == reached) {
        // But one by somebody who has been outvoted, while others say that it is not.
        ASSERT_TRUE(judge.status() == reachable || before.status() == unreachable) << seed;
        if (before.status() == reachable) {
          ASSERT_GE(judge.confidence(), std::min(before.confidence(), 1));
        }
      }
      if (kind == not_reached) {
        if (before.status() == reachable && judge.status() == reachable) {
          ASSERT_LE(judge.confidence(), before.confidence());
        }
        if (before.status() == unreachable) {
          ASSERT_EQ(judge.status(), unreachable);
        }
      }
      // One network alone never takes a confirmed address away.
      if (before.is_confirmed() && before.contrary_networks() == 0) {
        ASSERT_TRUE(kind == reached || judge.status() == before.status());
      }
      ASSERT_LE(judge.confidence(), 3);
      ASSERT_LE(judge.votes().size(), 16U);
    }
  }
}

}  // namespace
}  // namespace pyrsia::host

#include "swarm/dial_plan.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

const auto kFour = address("/ip4/192.0.2.1/tcp/4001");
const auto kFourToo = address("/ip4/192.0.2.2/tcp/4001");
const auto kSix = address("/ip6/2001:db8::1/tcp/4001");
const auto kSixToo = address("/ip6/2001:db8::2/tcp/4001");
const auto kLan = address("/ip4/10.0.0.1/tcp/4001");
const auto kLanToo = address("/ip4/10.0.0.2/tcp/4001");
constexpr TimePoint kStart{};

struct Start {
  Multiaddr address;
  Duration at;
  bool operator==(const Start&) const = default;
};

/// What a plan starts, and when, if no dial ever ends.
std::vector<Start> all_starts(DialPlan& plan) {
  std::vector<Start> starts;
  for (auto now = kStart;;) {
    while (const auto next = plan.start_next(now))
      starts.push_back({*next, now.time_since_epoch()});
    const auto at = plan.next_start();
    if (!at) return starts;
    now = *at;
  }
}

void PrintTo(const Start& start, std::ostream* out) {
  *out << start.address.to_string() << " at " << start.at / 1ms << " ms";
}

TEST(DialPlan, GoesDownAStaircaseWithIpv6FirstAndFamiliesInTurn) {
  DialPlan plan{DialRules()};
  for (const auto& each : {kFour, kFourToo, kSix, kSixToo})
    EXPECT_TRUE(plan.add(each, AddressClass::global, kStart));
  const std::vector<Start> expected{
      {kSix, 0ms}, {kFour, 250ms}, {kSixToo, 500ms}, {kFourToo, 750ms}};
  EXPECT_EQ(all_starts(plan), expected);
  EXPECT_EQ(plan.running(), 4U);
}

TEST(DialPlan, ClassesRunSideBySideAndNarrowOnesHaveShorterSteps) {
  DialPlan plan{DialRules()};
  plan.add(kLan, AddressClass::private_use, kStart);
  plan.add(kLanToo, AddressClass::private_use, kStart);
  plan.add(kFour, AddressClass::global, kStart);
  plan.add(kFourToo, AddressClass::global, kStart);
  const std::vector<Start> expected{{kFour, 0ms}, {kLan, 0ms}, {kLanToo, 30ms}, {kFourToo, 250ms}};
  EXPECT_EQ(all_starts(plan), expected);
}

TEST(DialPlan, AFailureStartsTheNextAtOnce) {
  DialPlan plan{DialRules()};
  plan.add(kFour, AddressClass::global, kStart);
  plan.add(kFourToo, AddressClass::global, kStart);
  EXPECT_EQ(plan.start_next(kStart), kFour);
  EXPECT_EQ(plan.start_next(kStart + 9ms), std::nullopt);
  plan.failed(kFour, Errc::refused, kStart + 10ms);
  EXPECT_EQ(plan.next_start(), kStart + 10ms);
  EXPECT_EQ(plan.start_next(kStart + 10ms), kFourToo);
  EXPECT_FALSE(plan.is_exhausted());
  plan.failed(kFourToo, Errc::unreachable, kStart + 20ms);
  EXPECT_TRUE(plan.is_exhausted());
  EXPECT_EQ(plan.error(), Errc::refused);
}

TEST(DialPlan, RunsNoMoreThanItsLimitAtOnce) {
  DialPlan plan{DialRules{.parallel = 2}};
  for (std::uint16_t port = 1; port <= 5; ++port)
    plan.add(kFour.with_port(port), AddressClass::global, kStart);
  EXPECT_EQ(all_starts(plan).size(), 2U);
  plan.failed(kFour.with_port(1), Errc::refused, kStart + 1s);
  EXPECT_EQ(plan.start_next(kStart + 1s), kFour.with_port(3));
}

TEST(DialPlan, IgnoresWhatItKnowsAndMoreThanItsLimit) {
  DialPlan plan{DialRules{.addresses = 2}};
  EXPECT_TRUE(plan.add(kFour, AddressClass::global, kStart));
  EXPECT_FALSE(plan.add(kFour, AddressClass::global, kStart));
  EXPECT_TRUE(plan.add(kSix, AddressClass::global, kStart));
  EXPECT_FALSE(plan.add(kLan, AddressClass::private_use, kStart));
}

TEST(DialPlan, ALateAddressWaitsItsTurnOnlyWhileAnotherRuns) {
  DialPlan plan{DialRules()};
  plan.add(kFour, AddressClass::global, kStart);
  EXPECT_EQ(plan.start_next(kStart), kFour);
  plan.add(kFourToo, AddressClass::global, kStart + 10ms);
  EXPECT_EQ(plan.next_start(), kStart + 250ms);
  plan.failed(kFour, Errc::closed, kStart + 20ms);
  EXPECT_EQ(plan.start_next(kStart + 20ms), kFourToo);
  plan.failed(kFourToo, Errc::closed, kStart + 30ms);
  plan.add(kSix, AddressClass::global, kStart + 40ms);
  EXPECT_EQ(plan.start_next(kStart + 40ms), kSix);
}

TEST(DialPlan, WithoutAnAddressIsExhaustedAndSaysSo) {
  const DialPlan plan{DialRules()};
  EXPECT_TRUE(plan.is_exhausted());
  EXPECT_EQ(plan.error(), Errc::unavailable);
}

}  // namespace
}  // namespace pyrsia::swarm

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

TEST(DialPlan, StartsWithIpv6ThenIpv4ThenAllThatAreLeft) {
  DialPlan plan{DialRules()};
  for (const auto& each : {kFour, kFourToo, kSix, kSixToo})
    EXPECT_TRUE(plan.add(each, AddressClass::global, kStart));
  const std::vector<Start> expected{
      {kSix, 0ms}, {kFour, 250ms}, {kFourToo, 500ms}, {kSixToo, 500ms}};
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

const auto kQuicFour = address("/ip4/192.0.2.1/udp/4001/quic-v1");
const auto kQuicSix = address("/ip6/2001:db8::1/udp/4001/quic-v1");
const auto kQuicFourToo = address("/ip4/192.0.2.2/udp/4001/quic-v1");
const auto kWebSocket = address("/ip4/192.0.2.3/tcp/4002/ws");

TEST(DialPlan, QuicComesBeforeTcpAndTcpBeforeTheRest) {
  DialPlan plan{DialRules()};
  for (const auto& each : {kWebSocket, kFour, kSix, kQuicFourToo, kQuicFour, kQuicSix})
    plan.add(each, AddressClass::global, kStart);
  const std::vector<Start> expected{{kQuicSix, 0ms}, {kQuicFourToo, 250ms}, {kQuicFour, 500ms},
                                    {kSix, 750ms},   {kFour, 1000ms},       {kWebSocket, 2000ms}};
  EXPECT_EQ(all_starts(plan), expected);
}

TEST(DialPlan, OneFamilyAloneHasTwoStepsOnly) {
  DialPlan plan{DialRules()};
  for (std::uint16_t port = 1; port <= 4; ++port)
    plan.add(kLan.with_port(port), AddressClass::private_use, kStart);
  const std::vector<Start> expected{{kLan.with_port(1), 0ms},
                                    {kLan.with_port(2), 30ms},
                                    {kLan.with_port(3), 30ms},
                                    {kLan.with_port(4), 30ms}};
  EXPECT_EQ(all_starts(plan), expected);
}

TEST(DialPlan, AWebSocketBesidePlainTcpIsLeftOut) {
  const auto websocket = address("/ip4/192.0.2.1/tcp/4001/ws");
  DialPlan before{DialRules()};
  EXPECT_TRUE(before.add(kFour, AddressClass::global, kStart));
  EXPECT_FALSE(before.add(websocket, AddressClass::global, kStart));
  DialPlan after{DialRules()};
  EXPECT_TRUE(after.add(websocket, AddressClass::global, kStart));
  EXPECT_TRUE(after.add(kFour, AddressClass::global, kStart));
  const std::vector<Start> expected{{kFour, 0ms}};
  EXPECT_EQ(all_starts(before), expected);
  EXPECT_EQ(all_starts(after), expected);
}

TEST(DialPlan, ASecureWebSocketIsOneLikeAnyOther) {
  const auto named = address("/ip4/192.0.2.1/tcp/4001/tls/sni/a.example/ws");
  const auto other = address("/ip4/192.0.2.3/tcp/443/tls/ws");
  DialPlan plan{DialRules()};
  for (const auto& each : {named, other, kFour}) plan.add(each, AddressClass::global, kStart);
  const std::vector<Start> expected{{kFour, 0ms}, {other, 1000ms}};
  EXPECT_EQ(all_starts(plan), expected);
}

TEST(DialPlan, WhileOneIsUpgradedTheOthersWaitForAStep) {
  DialPlan plan{DialRules()};
  plan.add(kSix, AddressClass::global, kStart);
  plan.add(kFour, AddressClass::global, kStart);
  plan.add(kLan, AddressClass::private_use, kStart + 210ms);
  EXPECT_EQ(plan.start_next(kStart), kSix);
  plan.connected(kSix, kStart + 200ms);
  EXPECT_EQ(plan.next_start(), kStart + 450ms);
  EXPECT_EQ(plan.start_next(kStart + 449ms), std::nullopt);
  plan.failed(kSix, Errc::wrong_peer, kStart + 300ms);
  EXPECT_EQ(plan.start_next(kStart + 300ms), kFour);
}

TEST(DialPlan, ALastResortComesLast) {
  DialPlan plan{DialRules()};
  plan.add(kQuicSix, AddressClass::global, kStart, true);
  plan.add(kFour, AddressClass::global, kStart);
  const std::vector<Start> expected{{kFour, 0ms}, {kQuicSix, 1000ms}};
  EXPECT_EQ(all_starts(plan), expected);
  DialPlan alone{DialRules()};
  alone.add(kQuicSix, AddressClass::global, kStart, true);
  EXPECT_EQ(alone.start_next(kStart), kQuicSix);
}

/// How long each kind of address takes to connect; none: its packets vanish.
struct World {
  std::optional<Duration> quic;
  std::optional<Duration> tcp;
  bool is_v6_broken = false;

  std::optional<Duration> time_of(const Multiaddr& to) const {
    if (is_v6_broken && to.ip()->is_v6()) return std::nullopt;
    return to.is_quic_v1() ? quic : tcp;
  }
};

/// When the first dial succeeds that `plan` starts.
std::optional<TimePoint> first_success(DialPlan& plan, const World& world) {
  std::optional<TimePoint> success;
  for (auto now = kStart;;) {
    while (const auto next = plan.start_next(now)) {
      const auto takes = world.time_of(*next);
      if (takes) success = std::min(success.value_or(now + *takes), now + *takes);
    }
    const auto at = plan.next_start();
    if (!at || (success && *success <= *at)) return success;
    now = *at;
  }
}

TEST(DialPlan, ConnectsWhenGoDoes) {
  // By go's ranker: QUIC of IPv6 at 0, of IPv4 at 250 ms, TCP of IPv6 at 500 ms, of IPv4 at 750 ms.
  const std::vector<std::pair<World, Duration>> cases = {
      {{100ms, 150ms}, 100ms},
      {{std::nullopt, 150ms}, 650ms},
      {{100ms, 150ms, true}, 350ms},
      {{std::nullopt, 150ms, true}, 900ms},
  };
  for (const auto& [world, expected] : cases) {
    DialPlan plan{DialRules()};
    for (const auto& each : {kFour, kSix, kQuicFour, kQuicSix})
      plan.add(each, AddressClass::global, kStart);
    EXPECT_EQ(first_success(plan, world), kStart + expected);
  }
}

TEST(DialPlan, ConnectsSoonerThanGoWhereABlackHoleIsKnown) {
  const World world{std::nullopt, 150ms, true};
  DialPlan plan{DialRules()};
  for (const auto& each : {kSix, kQuicFour, kQuicSix})
    plan.add(each, AddressClass::global, kStart, true);
  plan.add(kFour, AddressClass::global, kStart);
  EXPECT_EQ(first_success(plan, world), kStart + 150ms);
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

#include "protocols/autonat/dial_filter.hpp"
#include "protocols/autonat/throttle.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pyrsia::autonat {
namespace {

using namespace std::chrono_literals;
using Verdict = Throttle::Verdict;

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

const auto kObserved = IpAddress::v4({5, 6, 7, 8});

/// An IPv4 address that no other number has.
IpAddress ip(std::uint8_t number) {
  return IpAddress::v4({5, 6, number, 8});
}

TEST(AutonatThrottle, AllowsThreeOfAPeerAndThirtyInAllEachSecond) {
  Throttle throttle({{1s, 30, 3, 6}});
  for (int i = 0; i < 3; ++i) throttle.add(peer(1), ip(1), TimePoint(0s));
  EXPECT_EQ(throttle.check(peer(1), ip(2), TimePoint(999ms)), Verdict::too_many_of_peer);
  EXPECT_EQ(throttle.check(peer(2), ip(2), TimePoint(999ms)), Verdict::allowed);
  EXPECT_EQ(throttle.check(peer(1), ip(2), TimePoint(1s)), Verdict::allowed);

  for (std::uint8_t i = 0; i < 30; ++i) throttle.add(peer(i), ip(i), TimePoint(2s));
  EXPECT_EQ(throttle.check(peer(99), ip(99), TimePoint(2s)), Verdict::too_many);
  EXPECT_EQ(throttle.check(peer(99), ip(99), TimePoint(3s)), Verdict::allowed);
}

TEST(AutonatThrottle, NewIdsAreOfNoUseToOneIp) {
  Throttle throttle({{1s, 30, 3, 6}});
  for (std::uint8_t i = 0; i < 6; ++i) {
    EXPECT_EQ(throttle.check(peer(i), ip(1), TimePoint(0s)), Verdict::allowed);
    throttle.add(peer(i), ip(1), TimePoint(0s));
  }
  EXPECT_EQ(throttle.check(peer(9), ip(1), TimePoint(999ms)), Verdict::too_many_of_ip);
  EXPECT_EQ(throttle.check(peer(9), ip(2), TimePoint(999ms)), Verdict::allowed);
  EXPECT_EQ(throttle.check(peer(9), ip(1), TimePoint(1s)), Verdict::allowed);
}

TEST(AutonatThrottle, OneSiteOfIpv6IsOneIp) {
  Throttle throttle({{1s, 30, 3, 1}});
  throttle.add(peer(1), *IpAddress::parse("2a01:4f8:1:2ff::1"), TimePoint(0s));
  const auto same = *IpAddress::parse("2a01:4f8:1:200:7::9");
  const auto other = *IpAddress::parse("2a01:4f8:1:300::1");
  EXPECT_EQ(throttle.check(peer(2), same, TimePoint(0s)), Verdict::too_many_of_ip);
  EXPECT_EQ(throttle.check(peer(2), other, TimePoint(0s)), Verdict::allowed);
}

TEST(AutonatThrottle, LongerWindowsHoldTogetherWithShortOnes) {
  Throttle throttle({{1s, 30, 3, 6}, {60s, 1000, 4, 6}});
  for (int i = 0; i < 4; ++i) throttle.add(peer(1), ip(1), TimePoint(1s * i));
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(30s)), Verdict::too_many_of_peer);
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(60s)), Verdict::allowed);
}

TEST(AutonatThrottle, WithoutWindowsThereIsNoLimit) {
  Throttle throttle({});
  for (int i = 0; i < 1000; ++i) throttle.add(peer(1), ip(1), TimePoint(0s));
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(0s)), Verdict::allowed);
}

TEST(AutonatDialFilter, DemandedIpsAreReplacedByTheObservedOne) {
  const auto out = dialable_addresses({addr("/ip4/1.1.1.1/tcp/4001")}, kObserved, peer(1), 16);
  EXPECT_EQ(out, std::vector{addr("/ip4/5.6.7.8/tcp/4001").with_peer(peer(1))});
}

TEST(AutonatDialFilter, DropsNamesRelaysForeignersAndWhatIsNotTcp) {
  const std::vector<Multiaddr> demanded{
      addr("/dns4/victim.example.org/tcp/80"),
      addr("/ip4/1.1.1.1/tcp/4001").with_peer(peer(9)),
      addr("/ip4/1.1.1.1/tcp/4001/p2p/" + peer(9).to_string() + "/p2p-circuit"),
      addr("/ip4/1.1.1.1/udp/4001/quic-v1"),
      addr("/ip4/1.1.1.1/tcp/0"),
      addr("/p2p/" + peer(1).to_string())};
  EXPECT_TRUE(dialable_addresses(demanded, kObserved, peer(1), 16).empty());
}

TEST(AutonatDialFilter, EachAddressOnceAndAtMostSixteen) {
  std::vector<Multiaddr> demanded{addr("/ip4/1.1.1.1/tcp/1"),
                                  addr("/ip4/2.2.2.2/tcp/1").with_peer(peer(1))};
  EXPECT_EQ(dialable_addresses(demanded, kObserved, peer(1), 16).size(), 1u);
  for (int port = 2; port < 50; ++port)
    demanded.push_back(addr("/ip4/1.1.1.1/tcp/" + std::to_string(port)));
  EXPECT_EQ(dialable_addresses(demanded, kObserved, peer(1), 16).size(), 16u);
}

TEST(AutonatDialFilter, WhateverIsDemandedNobodyElseIsDialed) {
  std::mt19937 random(1);
  const std::string hosts[] = {"/ip4/10.0.0.1", "/ip4/127.0.0.1", "/ip6/::1",
                               "/dns/a.org",    "/ip4/8.8.8.8",   "/ip6/2600::1"};
  const std::string tails[] = {"/tcp/80", "/udp/53", "/tcp/443/ws", "/tcp/80/p2p-circuit", ""};
  for (int round = 0; round < 500; ++round) {
    std::vector<Multiaddr> demanded;
    for (int i = 0; i < 20; ++i)
      demanded.push_back(addr(hosts[random() % 6] + tails[random() % 5]));
    for (const auto& target : dialable_addresses(demanded, kObserved, peer(1), 16)) {
      ASSERT_EQ(target.ip(), kObserved);
      ASSERT_EQ(target.peer_id(), peer(1));
      ASSERT_TRUE(target.is_plain_tcp());
    }
  }
}

}  // namespace
}  // namespace pyrsia::autonat

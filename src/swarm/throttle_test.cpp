#include "swarm/throttle.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;
using Verdict = Throttle::Verdict;

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

/// An IPv4 address that no other number has.
IpAddress ip(std::uint8_t number) {
  return IpAddress::v4({5, 6, number, 8});
}

TEST(Throttle, AllowsThreeOfAPeerAndThirtyInAllEachSecond) {
  Throttle throttle({{1s, 30, 3, 6}});
  for (int i = 0; i < 3; ++i) throttle.add(peer(1), ip(1), TimePoint(0s));
  EXPECT_EQ(throttle.check(peer(1), ip(2), TimePoint(999ms)), Verdict::too_many_of_peer);
  EXPECT_EQ(throttle.check(peer(2), ip(2), TimePoint(999ms)), Verdict::allowed);
  EXPECT_EQ(throttle.check(peer(1), ip(2), TimePoint(1s)), Verdict::allowed);

  for (std::uint8_t i = 0; i < 30; ++i) throttle.add(peer(i), ip(i), TimePoint(2s));
  EXPECT_EQ(throttle.check(peer(99), ip(99), TimePoint(2s)), Verdict::too_many);
  EXPECT_EQ(throttle.check(peer(99), ip(99), TimePoint(3s)), Verdict::allowed);
}

TEST(Throttle, NewIdsAreOfNoUseToOneIp) {
  Throttle throttle({{1s, 30, 3, 6}});
  for (std::uint8_t i = 0; i < 6; ++i) {
    EXPECT_EQ(throttle.check(peer(i), ip(1), TimePoint(0s)), Verdict::allowed);
    throttle.add(peer(i), ip(1), TimePoint(0s));
  }
  EXPECT_EQ(throttle.check(peer(9), ip(1), TimePoint(999ms)), Verdict::too_many_of_ip);
  EXPECT_EQ(throttle.check(peer(9), ip(2), TimePoint(999ms)), Verdict::allowed);
  EXPECT_EQ(throttle.check(peer(9), ip(1), TimePoint(1s)), Verdict::allowed);
}

TEST(Throttle, OneSiteOfIpv6IsOneIp) {
  Throttle throttle({{1s, 30, 3, 1}});
  throttle.add(peer(1), *IpAddress::parse("2a01:4f8:1:2ff::1"), TimePoint(0s));
  const auto same = *IpAddress::parse("2a01:4f8:1:200:7::9");
  const auto other = *IpAddress::parse("2a01:4f8:1:300::1");
  EXPECT_EQ(throttle.check(peer(2), same, TimePoint(0s)), Verdict::too_many_of_ip);
  EXPECT_EQ(throttle.check(peer(2), other, TimePoint(0s)), Verdict::allowed);
}

TEST(Throttle, LongerWindowsHoldTogetherWithShortOnes) {
  Throttle throttle({{1s, 30, 3, 6}, {60s, 1000, 4, 6}});
  for (int i = 0; i < 4; ++i) throttle.add(peer(1), ip(1), TimePoint(1s * i));
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(30s)), Verdict::too_many_of_peer);
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(60s)), Verdict::allowed);
}

TEST(Throttle, WithoutWindowsThereIsNoLimit) {
  Throttle throttle({});
  for (int i = 0; i < 1000; ++i) throttle.add(peer(1), ip(1), TimePoint(0s));
  EXPECT_EQ(throttle.check(peer(1), ip(1), TimePoint(0s)), Verdict::allowed);
}

}  // namespace
}  // namespace pyrsia::swarm

#include "swarm/dial_backoff.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

PeerId peer() {
  Bytes multihash(34, 1);
  multihash[0] = 0x12;
  multihash[1] = 32;
  return *PeerId::from_bytes(multihash);
}

const auto kAddress = *Multiaddr::parse("/ip4/192.0.2.1/tcp/4001");

TEST(DialBackoff, RestsFiveSecondsPlusTheSquareUpToFiveMinutes) {
  DialBackoff backoff;
  TimePoint now{};
  EXPECT_FALSE(backoff.is_resting(peer(), kAddress, now));
  for (const auto rest : {5s, 6s, 9s, 14s, 21s}) {
    backoff.failed(peer(), kAddress, now);
    EXPECT_TRUE(backoff.is_resting(peer(), kAddress, now + rest - 1ns));
    EXPECT_FALSE(backoff.is_resting(peer(), kAddress, now + rest));
    now += rest;
  }
  for (int i = 0; i < 2000; ++i) backoff.failed(peer(), kAddress, now);
  EXPECT_FALSE(backoff.is_resting(peer(), kAddress, now + 5min));
}

TEST(DialBackoff, ASuccessForgetsAllFailures) {
  DialBackoff backoff;
  backoff.failed(peer(), kAddress, {});
  backoff.failed(peer(), kAddress, {});
  backoff.succeeded(peer(), kAddress);
  EXPECT_EQ(backoff.size(), 0U);
}

TEST(DialBackoff, IsBoundedAndForgetsTheOld) {
  DialBackoff backoff;
  TimePoint now{};
  for (std::size_t i = 0; i < DialBackoff::kMaxEntries + 10; ++i) {
    const auto ip =
        IpAddress::v4({10, std::uint8_t(i >> 16), std::uint8_t(i >> 8), std::uint8_t(i)});
    backoff.failed(peer(), kAddress.with_ip(ip), now += 1us);
  }
  EXPECT_EQ(backoff.size(), DialBackoff::kMaxEntries);
  backoff.expire(now + 11min);
  EXPECT_EQ(backoff.size(), 0U);
}

}  // namespace
}  // namespace pyrsia::swarm

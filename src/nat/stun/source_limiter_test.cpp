#include "nat/stun/source_limiter.hpp"

#include <gtest/gtest.h>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;

constexpr SourceLimit kLimit{10, 5, 1024};
const TimePoint kStart(1h);

IpAddress v4(std::uint32_t number) {
  return IpAddress::v4({std::uint8_t(number >> 24), std::uint8_t(number >> 16),
                        std::uint8_t(number >> 8), std::uint8_t(number)});
}

TEST(SourceLimiter, ASourceHasItsBurstAndThenItsRate) {
  SourceLimiter limiter(kLimit, 7);
  int allowed = 0;
  for (int i = 0; i < 100; ++i) allowed += limiter.allow(v4(1), 1, kStart) ? 1 : 0;
  EXPECT_EQ(allowed, 5);
  EXPECT_FALSE(limiter.allow(v4(1), 1, kStart + 99ms));
  EXPECT_TRUE(limiter.allow(v4(1), 1, kStart + 200ms));
  EXPECT_TRUE(limiter.allow(v4(2), 1, kStart));
  EXPECT_FALSE(limiter.allow(v4(2), 5, kStart));
  EXPECT_TRUE(limiter.allow(v4(2), 4, kStart));
}

TEST(SourceLimiter, TheLowestRateLetsAProbeOfANatThrough) {
  EXPECT_EQ(limit_of(0).per_second, 0U);
  EXPECT_EQ(limit_of(200).burst, 400U);
  SourceLimiter limiter(limit_of(1), 7);
  const auto source = IpAddress::v4({192, 0, 2, 1});
  // Two answers from the other address cost most: responder.cpp.
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(limiter.allow(source, 8, TimePoint()));
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(limiter.allow(source, 1, TimePoint()));
  EXPECT_FALSE(limiter.allow(source, 1, TimePoint()));
}

TEST(SourceLimiter, AnIpv6NetworkIsOneSource) {
  SourceLimiter limiter(kLimit, 7);
  int allowed = 0;
  for (std::uint8_t i = 0; i < 100; ++i) {
    std::array<std::uint8_t, 16> ip{0x20, 1, 0xd, 0xb8};
    ip[15] = i;
    allowed += limiter.allow(IpAddress::v6(ip), 1, kStart) ? 1 : 0;
  }
  EXPECT_EQ(allowed, 5);
}

TEST(SourceLimiter, AMillionForgedSourcesTakeNoMemoryAndAreAnswered) {
  SourceLimiter limiter(kLimit, 7);
  const auto before = limiter.memory_bytes();
  std::size_t allowed = 0;
  for (std::uint32_t i = 0; i < 1'000'000; ++i) allowed += limiter.allow(v4(i), 1, kStart) ? 1 : 0;
  EXPECT_EQ(limiter.memory_bytes(), before);
  EXPECT_EQ(before, 1024 * 16);
  EXPECT_EQ(allowed, 1'000'000);
}

TEST(SourceLimiter, WhoAsksOnIsNotForgottenForStrangers) {
  SourceLimiter limiter(SourceLimit{1, 5, 4}, 7);  // One set: every source shares it.
  int allowed = 0;
  for (std::uint32_t i = 0; i < 30; ++i) {
    const auto now = kStart + std::chrono::milliseconds(i);
    allowed += limiter.allow(v4(1), 1, now) ? 1 : 0;
    (void)limiter.allow(v4(100 + i), 1, now);
  }
  EXPECT_EQ(allowed, 5);
}

TEST(SourceLimiter, WithoutALimitAllMayAsk) {
  SourceLimiter limiter(SourceLimit{0, 1, 4}, 7);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.allow(v4(1), 1, kStart));
  EXPECT_EQ(limiter.memory_bytes(), 0U);
}

}  // namespace
}  // namespace pyrsia::stun

#include "runtime/nd_options.hpp"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

/// PREF64 of 64:ff9b::/96 for 1800 s, as in RFC 8781.
Bytes pref64(std::uint16_t scaled) {
  return {38,
          2,
          static_cast<std::uint8_t>(scaled >> 8),
          static_cast<std::uint8_t>(scaled),
          0,
          0x64,
          0xff,
          0x9b,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0};
}

Bytes message(const Bytes& options, std::uint8_t icmp_type) {
  nduseroptmsg body{};
  body.nduseropt_family = AF_INET6;
  body.nduseropt_icmp_type = icmp_type;
  body.nduseropt_opts_len = static_cast<std::uint16_t>(options.size());
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof body) + options.size());
  header.nlmsg_type = RTM_NEWNDUSEROPT;
  Bytes bytes(NLMSG_ALIGN(header.nlmsg_len));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &body, sizeof body);
  std::memcpy(bytes.data() + NLMSG_HDRLEN + sizeof body, options.data(), options.size());
  return bytes;
}

TEST(NdOptions, ReadsThePrefixOfRfc8781) {
  const auto read = read_pref64(pref64(1800));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->prefix.to_string(), "64:ff9b::");
  EXPECT_EQ(read->bits, 96U);
  EXPECT_EQ(read->lifetime, 1800s);
}

TEST(NdOptions, EveryLengthCodeHasItsBitsAndNoMore) {
  constexpr std::array<unsigned, 6> kExpected{96, 64, 56, 48, 40, 32};
  auto option = pref64(800);
  for (std::size_t i = 4; i < 16; ++i) option[i] = 0xff;
  for (std::uint8_t code = 0; code < 6; ++code) {
    option[3] = static_cast<std::uint8_t>((800 & 0xf8) | code);
    const auto read = read_pref64(option);
    ASSERT_TRUE(read) << int(code);
    EXPECT_EQ(read->bits, kExpected[code]);
    EXPECT_EQ(read->lifetime, 800s);
    EXPECT_TRUE(read->prefix.is_in(read->prefix, read->bits));
    EXPECT_EQ(read->prefix.bytes()[read->bits / 8], 0);
  }
  option[3] = static_cast<std::uint8_t>((800 & 0xf8) | 6);
  EXPECT_EQ(read_pref64(option).error(), Errc::not_supported);
}

TEST(NdOptions, WhatIsNoSuchOptionIsPassedOver) {
  auto other = pref64(1800);
  other[0] = 25;  // RDNSS
  EXPECT_EQ(read_pref64(other).error(), Errc::not_supported);
  for (std::size_t size = 0; size < 16; ++size)
    EXPECT_FALSE(read_pref64(BytesView(pref64(1800)).first(size))) << size;
  auto both = other;
  const auto good = pref64(1800);
  both.insert(both.end(), good.begin(), good.end());
  EXPECT_EQ(read_nat64(message(both, 134)).size(), 1U);
  EXPECT_TRUE(read_nat64(message(both, 137)).empty());  // A redirect.
  const auto whole = message(good, 134);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_TRUE(read_nat64(BytesView(whole).first(size)).empty()) << size;
  EXPECT_TRUE(read_nat64(message(Bytes(16, 0), 134)).empty());  // An option of length 0.
}

AdvertisedNat64 prefix_of(std::uint8_t number, Duration lifetime) {
  return {IpAddress::v6({0x20, 1, 0xd, 0xb8, number}), 64, lifetime};
}

TEST(Nat64Prefixes, LastAsLongAsTheyAreAdvertised) {
  Nat64Prefixes prefixes;
  const TimePoint start{};
  EXPECT_TRUE(prefixes.take(prefix_of(1, 600s), start));
  EXPECT_FALSE(prefixes.take(prefix_of(1, 600s), start + 300s));
  EXPECT_EQ(prefixes.good(start + 899s).size(), 1U);
  EXPECT_TRUE(prefixes.good(start + 900s).empty());
  EXPECT_TRUE(prefixes.take(prefix_of(1, 600s), start + 1000s));
  EXPECT_TRUE(prefixes.take(prefix_of(1, 0s), start + 1001s));
  EXPECT_FALSE(prefixes.take(prefix_of(1, 0s), start + 1002s));
  EXPECT_TRUE(prefixes.good(start + 1002s).empty());
}

TEST(Nat64Prefixes, AreFewWhoeverAdvertises) {
  Nat64Prefixes prefixes;
  for (std::uint8_t i = 0; i < 100; ++i)
    prefixes.take(prefix_of(i, std::chrono::seconds(600 + i)), TimePoint());
  const auto good = prefixes.good(TimePoint());
  ASSERT_EQ(good.size(), Nat64Prefixes::kMaxPrefixes);
  EXPECT_EQ(good.back(), prefix_of(99, 699s));
}

}  // namespace
}  // namespace pyrsia

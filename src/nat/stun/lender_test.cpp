#include "nat/stun/lender.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;

const IpAddress kIpA = IpAddress::parse("192.0.2.1").value();
const TimePoint kNow(1h);
const WallTime kWall(1'700'000'000s);

KeyPair key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

/// Member A asks member B.
struct TwoMembers {
  LendMessage message{
      Lend{{IpAddress::parse("198.51.100.7").value(), 40000}, kMagicCookie, {1}, 3479, true},
      key(1).peer_id(),
      key(2).peer_id(),
      kWall + 10s,
      {7}};
  Lender b{key(2).peer_id(), {{kIpA, key(1).peer_id()}}, LenderConfig(), 7};

  std::optional<Lend> send(const KeyPair& signer, const IpAddress& from) {
    return sent_to(b, signer, from, kWall);
  }
  std::optional<Lend> sent_to(Lender& lender, const KeyPair& signer, const IpAddress& from,
                              WallTime wall) const {
    std::array<std::uint8_t, kMaxMessageBytes> out{};
    const auto bytes = encode_lend(message, signer, out).value();
    return lender.take(Message::parse(bytes).value(), from, kNow, wall).lend;
  }
};

TEST(StunLend, SurvivesTheWire) {
  TwoMembers two;
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto bytes = encode_lend(two.message, key(1), out).value();
  const auto message = Message::parse(bytes).value();
  EXPECT_EQ(decode_lend(message).value(), two.message);
  EXPECT_TRUE(check_lend_signature(message, key(1).peer_id()));
  EXPECT_EQ(check_lend_signature(message, key(2).peer_id()).error(), Errc::bad_signature);
}

TEST(StunLend, EveryChangedBitIsFound) {
  TwoMembers two;
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto encoded = encode_lend(two.message, key(1), out).value();
  const Bytes whole(encoded.begin(), encoded.end());
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    auto broken = whole;
    broken[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    const auto message = Message::parse(broken);
    if (!message) continue;
    Lender b{key(2).peer_id(), {{kIpA, key(1).peer_id()}}, LenderConfig(), 7};
    EXPECT_FALSE(b.take(*message, kIpA, kNow, kWall).lend) << bit;
  }
}

TEST(StunLender, ObeysAMemberOnce) {
  TwoMembers two;
  EXPECT_EQ(two.send(key(1), kIpA), two.message.lend);
  EXPECT_FALSE(two.send(key(1), kIpA));
  EXPECT_EQ(two.b.metrics().replayed.value(), 1U);
  two.message.nonce = {8};
  EXPECT_TRUE(two.send(key(1), kIpA));
}

TEST(StunLender, ObeysNobodyElse) {
  TwoMembers two;
  EXPECT_FALSE(two.send(key(1), IpAddress::parse("192.0.2.66").value()));
  EXPECT_EQ(two.b.metrics().stranger.value(), 1U);
  EXPECT_FALSE(two.send(key(3), kIpA));
  EXPECT_EQ(two.b.metrics().forged.value(), 1U);
  two.message.from = key(3).peer_id();
  EXPECT_FALSE(two.send(key(3), kIpA));
  EXPECT_EQ(two.b.metrics().stranger.value(), 2U);
}

TEST(StunLender, ObeysNothingMeantForAnother) {
  TwoMembers two;
  two.message.to = key(3).peer_id();
  EXPECT_FALSE(two.send(key(1), kIpA));
  EXPECT_EQ(two.b.metrics().stranger.value(), 1U);
}

TEST(StunLender, ObeysNothingOldAndNothingFromTheFuture) {
  TwoMembers two;
  two.message.expires_at = kWall;
  EXPECT_FALSE(two.send(key(1), kIpA));
  two.message.expires_at = kWall + 31s;
  EXPECT_FALSE(two.send(key(1), kIpA));
  EXPECT_EQ(two.b.metrics().expired.value(), 2U);
}

TEST(StunLender, ItsTableOfNoncesIsBounded) {
  TwoMembers two;
  LenderConfig config;
  config.max_nonces = 3;
  Lender b(key(2).peer_id(), {{kIpA, key(1).peer_id()}}, config, 7);
  for (std::uint8_t i = 0; i < 5; ++i) {
    two.message.nonce = {i};
    EXPECT_EQ(two.sent_to(b, key(1), kIpA, kWall).has_value(), i < 3);
  }
  two.message.expires_at = kWall + 40s;
  EXPECT_TRUE(two.sent_to(b, key(1), kIpA, kWall + 20s));
}

TEST(StunLender, WhatFollowsTheSignatureChangesNothing) {
  TwoMembers two;
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto signed_bytes = encode_lend(two.message, key(1), out).value();
  // The client's address once more, another one: whose signature would cover it?
  const Bytes other{0x00, 0x01, 0x00, 0x08, 0x00, 0x01, 0x00, 0x35, 203, 0, 113, 5};
  Bytes longer(signed_bytes.begin(), signed_bytes.end());
  longer.insert(longer.end(), other.begin(), other.end());
  longer[3] = static_cast<std::uint8_t>(longer[3] + other.size());
  const auto message = Message::parse(longer).value();
  const auto decision = two.b.take(message, kIpA, kNow, kWall);
  EXPECT_EQ(decision.lend, two.message.lend);
  EXPECT_FALSE(two.send(key(1), kIpA));  // It was this one.
}

TEST(StunLender, NobodyIsSentToWhomTheAskerCannotHaveSeen) {
  const auto global = IpAddress::parse("8.8.4.4").value();
  const auto in_lan = IpAddress::parse("192.168.7.1").value();
  TwoMembers two;
  Lender b(key(2).peer_id(), {{global, key(1).peer_id()}, {in_lan, key(3).peer_id()}},
           LenderConfig(), 7);
  std::uint8_t nonce = 0;
  const auto is_sent = [&](const char* client, std::uint8_t member) {
    two.message.nonce = {++nonce};
    two.message.from = key(member).peer_id();
    two.message.lend.client.ip = IpAddress::parse(client).value();
    return two.sent_to(b, key(member), member == 1 ? global : in_lan, kWall).has_value();
  };
  for (const auto* client :
       {"127.0.0.1", "10.0.0.1", "192.168.7.9", "100.64.0.1", "169.254.169.254", "224.0.0.1",
        "255.255.255.255", "0.0.0.0", "::1", "2001:4860::1", "ff02::1", "::ffff:127.0.0.1"})
    EXPECT_FALSE(is_sent(client, 1)) << client;
  EXPECT_EQ(b.metrics().unreachable.value(), 12U);
  EXPECT_FALSE(is_sent("1.1.1.1", 3));
  EXPECT_FALSE(is_sent("127.0.0.1", 3));
  EXPECT_TRUE(is_sent("1.1.1.1", 1));
  EXPECT_TRUE(is_sent("10.0.0.1", 3));
}

TEST(StunLender, OneMemberUsesUpNothingOfAnother) {
  const auto other = IpAddress::parse("192.0.2.2").value();
  TwoMembers two;
  LenderConfig config;
  config.limit = {1, 4, 4};
  config.max_nonces = 2;
  Lender b(key(2).peer_id(), {{kIpA, key(1).peer_id()}, {other, key(3).peer_id()}}, config, 7);
  for (std::uint8_t i = 0; i < 10; ++i) {
    two.message.nonce = {i};
    (void)two.sent_to(b, key(1), kIpA, kWall);
  }
  EXPECT_EQ(b.metrics().accepted.value(), 2U);
  EXPECT_EQ(b.metrics().replayed.value(), 2U);
  EXPECT_EQ(b.metrics().limited.value(), 6U);
  two.message.from = key(3).peer_id();
  EXPECT_TRUE(two.sent_to(b, key(3), other, kWall));
}

TEST(StunLender, ATableOfNoncesHoldsAllThatAMemberMayAskFor) {
  const LenderConfig config;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(config.max_lifetime);
  EXPECT_GE(config.max_nonces,
            config.limit.burst + config.limit.per_second * std::size_t(seconds.count()));
}

TEST(StunLender, ItsSignatureChecksAreLimited) {
  TwoMembers two;
  LenderConfig config;
  config.limit = {1, 4, 4};
  Lender b(key(2).peer_id(), {{kIpA, key(1).peer_id()}}, config, 7);
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto bytes = encode_lend(two.message, key(3), out).value();
  for (int i = 0; i < 20; ++i) (void)b.take(Message::parse(bytes).value(), kIpA, kNow, kWall);
  EXPECT_EQ(b.metrics().forged.value(), 4U);
  EXPECT_EQ(b.metrics().limited.value(), 16U);
}

}  // namespace
}  // namespace pyrsia::stun

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
    std::array<std::uint8_t, kMaxMessageBytes> out{};
    const auto bytes = encode_lend(message, signer, out).value();
    return b.take(Message::parse(bytes).value(), from, kNow, kWall);
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
    EXPECT_FALSE(b.take(*message, kIpA, kNow, kWall)) << bit;
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
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  for (std::uint8_t i = 0; i < 5; ++i) {
    two.message.nonce = {i};
    const auto bytes = encode_lend(two.message, key(1), out).value();
    EXPECT_EQ(b.take(Message::parse(bytes).value(), kIpA, kNow, kWall).has_value(), i < 3);
  }
  two.message.expires_at = kWall + 40s;
  const auto bytes = encode_lend(two.message, key(1), out).value();
  EXPECT_TRUE(b.take(Message::parse(bytes).value(), kIpA, kNow, kWall + 20s));
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

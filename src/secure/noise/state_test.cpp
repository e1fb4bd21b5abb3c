#include "secure/noise/state.hpp"

#include "base/hex.hpp"
#include "crypto/x25519.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::secure::noise {
namespace {

Bytes hex(std::string_view text) {
  return *from_hex(text);
}

crypto::Secret<32> secret(std::string_view text) {
  crypto::Secret<32> key;
  std::ranges::copy(hex(text), key.begin());
  return key;
}

struct Message {
  std::string_view payload;
  std::string_view bytes;
};

// Of the public vectors of cacophony (also in snow): Noise_XX_25519_ChaChaPoly_SHA256.
constexpr std::string_view kPrologue = "4a6f686e2047616c74";
constexpr std::string_view kInitiatorStatic =
    "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
constexpr std::string_view kInitiatorEphemeral =
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
constexpr std::string_view kResponderStatic =
    "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
constexpr std::string_view kResponderEphemeral =
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
constexpr std::string_view kHash =
    "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e";
constexpr std::array<Message, 3> kMessages = {{
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
     "4c756477696720766f6e204d69736573"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
     "81cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9"
     "bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f"
     "8814c7194e83f23dbd8d162c9326ad"},
    {"462e20412e20486179656b",
     "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a8"
     "0ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6"
     "ae769a1d95941d49b25030"},
}};
constexpr std::array<Message, 3> kTransport = {{
    {"4361726c204d656e676572", "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"},
    {"4a65616e2d426170746973746520536179",
     "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"},
}};

/// The two sides of the vectors.
struct Sides {
  crypto::Secret<32> initiator_static = secret(kInitiatorStatic);
  crypto::Secret<32> responder_static = secret(kResponderStatic);
  PublicBytes initiator_public = crypto::x25519_public(initiator_static);
  PublicBytes responder_public = crypto::x25519_public(responder_static);
  HandshakeState initiator{Role::initiator, hex(kPrologue), initiator_static, initiator_public,
                           secret(kInitiatorEphemeral)};
  HandshakeState responder{Role::responder, hex(kPrologue), responder_static, responder_public,
                           secret(kResponderEphemeral)};
};

TEST(NoiseState, GivesThePublishedVectors) {
  Sides sides;
  for (std::size_t i = 0; i < kMessages.size(); ++i) {
    auto& writer = i % 2 == 0 ? sides.initiator : sides.responder;
    auto& reader = i % 2 == 0 ? sides.responder : sides.initiator;
    const auto bytes = writer.write(hex(kMessages[i].payload));
    EXPECT_EQ(*bytes, hex(kMessages[i].bytes)) << i;
    EXPECT_EQ(*reader.read(*bytes), hex(kMessages[i].payload)) << i;
  }
  EXPECT_EQ(sides.initiator.peer_static(), sides.responder_public);
  EXPECT_EQ(sides.responder.peer_static(), sides.initiator_public);
  EXPECT_TRUE(std::ranges::equal(sides.initiator.hash(), hex(kHash)));
  EXPECT_TRUE(std::ranges::equal(sides.responder.hash(), hex(kHash)));

  const auto keys = sides.initiator.split();
  const crypto::AeadKey to_initiator(keys.second);
  const crypto::AeadKey to_responder(keys.first);
  std::array<std::uint64_t, 2> counters{};
  for (std::size_t i = 0; i < kTransport.size(); ++i) {
    // The vectors go on in turn: message 4 is the responder's.
    const auto& key = i % 2 == 0 ? to_initiator : to_responder;
    const auto plain = hex(kTransport[i].payload);
    Bytes sealed(plain.size() + crypto::kTagBytes);
    key.seal(counters[i % 2]++, {}, plain, sealed);
    EXPECT_EQ(sealed, hex(kTransport[i].bytes)) << i;
  }
}

TEST(NoiseState, RefusesAnyChangedBit) {
  for (std::size_t number = 1; number < 3; ++number) {
    const auto size = hex(kMessages[number].bytes).size();
    for (std::size_t at = 0; at < size; ++at) {
      Sides sides;
      for (std::size_t i = 0; i <= number; ++i) {
        auto& writer = i % 2 == 0 ? sides.initiator : sides.responder;
        auto& reader = i % 2 == 0 ? sides.responder : sides.initiator;
        auto bytes = *writer.write(hex(kMessages[i].payload));
        if (i == number) bytes[at] ^= 1;
        const auto read = reader.read(bytes);
        EXPECT_EQ(read.has_value(), i != number) << at;
      }
    }
  }
}

TEST(NoiseState, RefusesEveryShorterMessage) {
  for (std::size_t number = 0; number < 3; ++number) {
    const auto whole = hex(kMessages[number].bytes);
    const auto payload_bytes = hex(kMessages[number].payload).size();
    for (std::size_t size = 0; size < whole.size() - (number == 0 ? payload_bytes : 0); ++size) {
      Sides sides;
      if (number > 0) {
        EXPECT_TRUE(sides.initiator.write(hex(kMessages[0].payload)));
      }
      if (number > 0) {
        EXPECT_TRUE(sides.responder.read(hex(kMessages[0].bytes)));
      }
      if (number > 1) {
        EXPECT_TRUE(sides.responder.write(hex(kMessages[1].payload)));
      }
      if (number > 1) {
        EXPECT_TRUE(sides.initiator.read(hex(kMessages[1].bytes)));
      }
      auto& reader = number % 2 == 0 ? sides.responder : sides.initiator;
      EXPECT_FALSE(reader.read(std::span(whole).first(size))) << number << " " << size;
    }
  }
}

TEST(NoiseState, RefusesAKeyOfSmallOrder) {
  Sides sides;
  const PublicBytes zero{};
  EXPECT_TRUE(sides.responder.read(zero));
  EXPECT_EQ(sides.responder.write({}).error(), Errc::malformed);
}

}  // namespace
}  // namespace pyrsia::secure::noise

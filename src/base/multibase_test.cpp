#include "base/multibase.hpp"

#include "base/base58.hpp"
#include "base/hex.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

Bytes text(std::string_view from) {
  return {from.begin(), from.end()};
}

// Vectors: multiformats/multibase, tests.
TEST(Multibase, ReadsEveryBase) {
  const auto expected = text("yes mani !");
  for (const auto* encoded : {"f796573206d616e692021", "F796573206D616E692021", "bpfsxgidnmfxgsibb",
                              "BPFSXGIDNMFXGSIBB", "k2lcpzo5yikidynfl", "K2LCPZO5YIKIDYNFL",
                              "z7paNL19xttacUY", "meWVzIG1hbmkgIQ", "ueWVzIG1hbmkgIQ"}) {
    const auto bytes = from_multibase(encoded);
    ASSERT_TRUE(bytes) << encoded;
    EXPECT_EQ(*bytes, expected) << encoded;
  }
}

TEST(Multibase, KeepsLeadingZeros) {
  const Bytes expected{0, 0, 'y', 'e', 's', ' ', 'm', 'a', 'n', 'i', ' ', '!'};
  for (const auto* encoded : {"f0000796573206d616e692021", "baaahszltebwwc3tjeaqq",
                              "k002lcpzo5yikidynfl", "z117paNL19xttacUY", "mAAB5ZXMgbWFuaSAh"}) {
    const auto bytes = from_multibase(encoded);
    ASSERT_TRUE(bytes) << encoded;
    EXPECT_EQ(*bytes, expected) << encoded;
  }
}

TEST(Multibase, RefusesWhatIsNoText) {
  for (const auto* encoded : {"", "x00", "f0", "f0g", "b1", "ba", "bab", "z0", "zl", "k_", "mA",
                              "mAB", "mA-", "uA+", "mAA==", "\xff"}) {
    EXPECT_EQ(from_multibase(encoded).error(), Errc::malformed) << encoded;
  }
}

TEST(Multibase, EveryLengthSurvivesARoundTrip) {
  Bytes bytes;
  for (std::uint8_t i = 0; i < 100; ++i) {
    EXPECT_EQ(from_multibase("b" + to_base32(bytes)).value(), bytes);
    EXPECT_EQ(from_multibase("u" + to_base64url(bytes)).value(), bytes);
    EXPECT_EQ(from_base58(to_base58(bytes)).value(), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)).value(), bytes);
    bytes.push_back(static_cast<std::uint8_t>(i * 37));
  }
}

TEST(Base58, AgreesWithTheVectors) {
  EXPECT_EQ(to_base58(text("Hello World!")), "2NEpo7TZRRrLZSi2U");
  EXPECT_EQ(to_base58(Bytes{0, 0, 0x28, 0x7f, 0xb4, 0xcd}), "11233QC4");
  EXPECT_EQ(to_base58({}), "");
}

TEST(Base58, RefusesTextThatWouldTakeLong) {
  EXPECT_TRUE(from_base58(std::string(kMaxRadixChars, 'z')));
  EXPECT_EQ(from_base58(std::string(kMaxRadixChars + 1, 'z')).error(), Errc::too_large);
}

}  // namespace
}  // namespace pyrsia

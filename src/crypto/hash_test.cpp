#include "crypto/hash.hpp"

#include "base/hex.hpp"
#include "crypto/x25519.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::crypto {
namespace {

Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}

std::array<std::uint8_t, 32> key(std::string_view hex) {
  std::array<std::uint8_t, 32> out{};
  std::ranges::copy(unhex(hex), out.begin());
  return out;
}

// Vector: FIPS 180-4.
TEST(Hash, Sha256AgreesWithTheVectors) {
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256({as_bytes("a"), {}, as_bytes("bc")}), sha256(as_bytes("abc")));
}

// Vectors: RFC 4231, 4.2 and 4.7.
TEST(Hash, HmacAgreesWithTheVectors) {
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, 0xaa),
                               as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// Vector: RFC 5869, A.3. HKDF of Noise is that with an empty info.
TEST(Hash, HkdfAgreesWithTheVector) {
  const Bytes input(22, 0x0b);
  const auto two = hkdf2({}, input);
  EXPECT_EQ(to_hex(two.first), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
  EXPECT_EQ(to_hex(two.second).substr(0, 20), "9d201395faa4b61a96c8");
  const auto three = hkdf3({}, input);
  EXPECT_EQ(three.first, two.first);
  EXPECT_EQ(three.second, two.second);
  const auto first = hmac_sha256({}, input);
  EXPECT_EQ(Hash(three.third), hmac_sha256(first, {three.second, Bytes{3}}));
}

// Vector: RFC 7748, 6.1.
TEST(X25519, AgreesWithTheVector) {
  const auto alice = key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto bob = key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(to_hex(x25519_public(alice)),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(x25519_public(bob)),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  EXPECT_EQ(to_hex(x25519_shared(alice, x25519_public(bob)).value()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST(X25519, RefusesPointsOfSmallOrder) {
  const auto secret = key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  for (const auto* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    EXPECT_EQ(x25519_shared(secret, key(point)).error(), Errc::malformed) << point;
  }
}

}  // namespace
}  // namespace pyrsia::crypto

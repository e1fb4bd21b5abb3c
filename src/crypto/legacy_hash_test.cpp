#include "crypto/legacy_hash.hpp"

#include "base/hex.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pyrsia::crypto {
namespace {

// Vectors: RFC 1321, A.5.
TEST(LegacyHash, Md5AgreesWithTheVectors) {
  EXPECT_EQ(to_hex(md5({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(to_hex(md5(as_bytes("abc"))), "900150983cd24fb0d6963f7d28e17f72");
}

// Vectors: RFC 2202, 3, cases 1, 2 and 6 (a key longer than a block).
TEST(LegacyHash, HmacSha1AgreesWithTheVectors) {
  EXPECT_EQ(to_hex(hmac_sha1(Bytes(20, 0x0b), {as_bytes("Hi There")})),
            "b617318655057264e28bc0b6fb378c8ef146be00");
  EXPECT_EQ(to_hex(hmac_sha1(as_bytes("Jefe"),
                             {as_bytes("what do ya want "), {}, as_bytes("for nothing?")})),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(to_hex(hmac_sha1(Bytes(80, 0xaa),
                             {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

}  // namespace
}  // namespace pyrsia::crypto

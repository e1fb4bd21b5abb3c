#include "base/hex.hpp"
#include "crypto/evp_key.hpp"
#include "crypto/secp256k1_key.hpp"
#include "crypto/spec_keys.hpp"

#include <pyrsia/key.hpp>

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>

namespace pyrsia {
namespace {

using crypto::kSpecKeys;

Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}

TEST(Key, ThePublicHalvesOfTheSpecKeysAndTheirIdsAreRight) {
  for (const auto& spec : kSpecKeys) {
    const auto pair = KeyPair::from_protobuf(unhex(spec.secret_hex));
    ASSERT_TRUE(pair) << spec.peer;
    EXPECT_EQ(pair->public_key().type(), spec.type);
    EXPECT_EQ(to_hex(pair->public_key().to_protobuf()), spec.public_hex);
    EXPECT_EQ(pair->peer_id().to_string(), spec.peer);
    EXPECT_EQ(PublicKey::from_protobuf(unhex(spec.public_hex)).value(), pair->public_key());
  }
}

TEST(Key, SignaturesVerifyForTheirMessageAndKeyOnly) {
  const auto message = as_bytes("a message");
  const auto other = KeyPair::generate();
  for (const auto& spec : kSpecKeys) {
    const auto pair = KeyPair::from_protobuf(unhex(spec.secret_hex)).value();
    const auto& key = pair.public_key();
    const auto signature = pair.sign(message);
    EXPECT_TRUE(key.verify(message, signature)) << spec.peer;
    EXPECT_FALSE(key.verify(as_bytes("b message"), signature)) << spec.peer;
    EXPECT_FALSE(other.public_key().verify(message, signature)) << spec.peer;
    EXPECT_FALSE(key.verify(message, {})) << spec.peer;
    EXPECT_FALSE(key.verify(message, BytesView(signature).first(signature.size() - 1)));
    auto bad = signature;
    bad[bad.size() / 2] ^= 1;
    EXPECT_FALSE(key.verify(message, bad)) << spec.peer;
    auto longer = signature;
    longer.push_back(0);
    EXPECT_FALSE(key.verify(message, longer)) << spec.peer;
    EXPECT_TRUE(key.verify({}, pair.sign({}))) << spec.peer;
  }
}

TEST(Key, Secp256k1TakesHighSValues) {
  const auto pair = KeyPair::from_protobuf(unhex(kSpecKeys[1].secret_hex)).value();
  const auto signature = pair.sign(as_bytes("m"));
  const auto* at = signature.data();
  ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(signature.size()));
  ASSERT_NE(parsed, nullptr);
  BIGNUM* order = nullptr;
  BN_hex2bn(&order, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141");
  BIGNUM* high = BN_new();
  BN_sub(high, order, ECDSA_SIG_get0_s(parsed));
  ECDSA_SIG_set0(parsed, BN_dup(ECDSA_SIG_get0_r(parsed)), high);
  Bytes der(80);
  auto* out = der.data();
  der.resize(static_cast<std::size_t>(i2d_ECDSA_SIG(parsed, &out)));
  EXPECT_NE(der, signature);
  EXPECT_TRUE(pair.public_key().verify(as_bytes("m"), der));
  BN_free(order);
  ECDSA_SIG_free(parsed);
}

TEST(Key, AnEd25519SecretMayHaveItsPublicKeyTwice) {
  const auto& spec = kSpecKeys[0];
  auto message = unhex(spec.secret_hex);
  const Bytes twin(message.end() - 32, message.end());
  message.insert(message.end(), twin.begin(), twin.end());
  message[3] = 96;
  EXPECT_EQ(KeyPair::from_protobuf(message).value().peer_id().to_string(), spec.peer);
  message.back() ^= 1;
  EXPECT_EQ(KeyPair::from_protobuf(message).error(), Errc::malformed);
}

TEST(Key, SecretsWhoseHalvesDisagreeAreRefused) {
  for (const auto& spec : kSpecKeys) {
    if (spec.type == KeyType::secp256k1) continue;  // It has one half.
    auto message = unhex(spec.secret_hex);
    // Of an RSA key the modulus: what the last bytes help with can be done without them.
    message[spec.type == KeyType::rsa ? 40 : message.size() - 5] ^= 1;
    EXPECT_EQ(KeyPair::from_protobuf(message).error(), Errc::malformed) << spec.peer;
  }
  const std::string zero(64, '0');
  const std::string order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  EXPECT_EQ(KeyPair::from_protobuf(unhex("08021220" + zero)).error(), Errc::malformed);
  EXPECT_EQ(KeyPair::from_protobuf(unhex("08021220" + order)).error(), Errc::malformed);
}

TEST(Key, OnlyTheDeterministicMessageIsRead) {
  const std::string key = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
  EXPECT_TRUE(PublicKey::from_protobuf(unhex("08011220" + key)));
  for (const auto& hex : std::vector<std::string>{
           "", "08", "0801", "080112", "08011220", "12200801" + key, "1220" + key + "0801",
           "0881001220" + key, "080112a000" + key, "08011221" + key, "0801121f" + key,
           "08011220" + key + "00", "08011220" + key + "1801", "0801121f" + key.substr(2)}) {
    EXPECT_EQ(PublicKey::from_protobuf(unhex(hex)).error(), Errc::malformed) << hex;
  }
  EXPECT_EQ(PublicKey::from_protobuf(unhex("08041220" + key)).error(), Errc::not_supported);
}

TEST(Key, EveryCutOfASpecKeyIsRefused) {
  for (const auto& spec : kSpecKeys) {
    const auto key = PublicKey::from_protobuf(unhex(spec.public_hex)).value();
    const Bytes whole(key.data().begin(), key.data().end());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(PublicKey::make(spec.type, BytesView(whole).first(size)).error(), Errc::malformed);
    }
    auto longer = whole;
    longer.push_back(0);
    EXPECT_EQ(PublicKey::make(spec.type, longer).error(), Errc::malformed);
  }
}

Result<PublicKey> made_from(EVP_PKEY* raw, KeyType type) {
  const crypto::EvpKey key(raw);
  return PublicKey::make(type, crypto::evp_public_data(key.get()));
}

TEST(Key, OtherSizesAndCurvesAreNotSupported) {
  EXPECT_EQ(made_from(EVP_RSA_gen(1024), KeyType::rsa).error(), Errc::not_supported);
  EXPECT_EQ(made_from(EVP_EC_gen("P-384"), KeyType::ecdsa).error(), Errc::not_supported);
  EXPECT_EQ(made_from(EVP_EC_gen("secp256k1"), KeyType::ecdsa).error(), Errc::not_supported);
  EXPECT_TRUE(made_from(EVP_RSA_gen(2048), KeyType::rsa));
  EXPECT_TRUE(made_from(EVP_EC_gen("P-256"), KeyType::ecdsa));
}

TEST(Key, AKeyUnderTheNameOfAnotherTypeIsRefused) {
  EXPECT_EQ(made_from(EVP_RSA_gen(2048), KeyType::ecdsa).error(), Errc::malformed);
  EXPECT_EQ(made_from(EVP_EC_gen("P-256"), KeyType::rsa).error(), Errc::malformed);
}

TEST(Key, ASecondEncodingOfAnEcdsaKeyIsRefused) {
  const crypto::EvpKey key(EVP_EC_gen("P-256"));
  EVP_PKEY_set_utf8_string_param(key.get(), "point-format", "compressed");
  EXPECT_EQ(PublicKey::make(KeyType::ecdsa, crypto::evp_public_data(key.get())).error(),
            Errc::malformed);
}

TEST(Key, APointThatIsNotOnTheCurveIsRefused) {
  Bytes point(33, 0xff);
  point[0] = 2;
  EXPECT_EQ(PublicKey::make(KeyType::secp256k1, point).error(), Errc::malformed);
  auto ecdsa = unhex(kSpecKeys[2].public_hex);
  ecdsa.back() ^= 1;
  EXPECT_EQ(PublicKey::from_protobuf(ecdsa).error(), Errc::malformed);
}

TEST(Key, GeneratedKeysDiffer) {
  EXPECT_NE(KeyPair::generate().peer_id(), KeyPair::generate().peer_id());
}

TEST(Key, ASeedAlwaysGivesTheSameKey) {
  std::array<std::uint8_t, 32> seed{};
  std::ranges::copy(unhex(kSpecKeys[0].secret_hex.substr(8, 64)), seed.begin());
  EXPECT_EQ(KeyPair::from_seed(seed).peer_id().to_string(), kSpecKeys[0].peer);
}

}  // namespace
}  // namespace pyrsia

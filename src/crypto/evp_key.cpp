#include "crypto/evp_key.hpp"

#include "crypto/error_queue.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <string_view>

namespace pyrsia::crypto {
namespace {

/// The SubjectPublicKeyInfo of an RSA key of 8192 bits has 1062 bytes, its PKCS#1 form 4 700.
constexpr std::size_t kMaxPublicDerBytes = 1200;
constexpr std::size_t kMaxPrivateDerBytes = 8192;
constexpr std::size_t kEcdsaDerBytes = 91;  ///< P-256, the point uncompressed.
constexpr std::size_t kSha256Bytes = 32;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
/// As go has it: a large exponent only makes verification slow.
constexpr int kMaxRsaExponentBits = 31;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeKeyContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Result<> check_ecdsa(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return Errc::malformed;
  std::array<char, 32> curve{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, curve.data(), curve.size(), &length) != 1) {
    return Errc::not_supported;
  }
  if (std::string_view(curve.data(), length) != "prime256v1") return Errc::not_supported;
  return ok;
}

Result<> check_rsa(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return Errc::malformed;
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kMinRsaBits || bits > kMaxRsaBits) return Errc::not_supported;
  BIGNUM* exponent = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) return Errc::malformed;
  const bool is_sane =
      BN_is_odd(exponent) && !BN_is_one(exponent) && BN_num_bits(exponent) <= kMaxRsaExponentBits;
  BN_free(exponent);
  if (!is_sane) return Errc::malformed;
  return ok;
}

/// Empty if the key cannot.
Bytes try_sign(EVP_PKEY* key, BytesView message) {
  const ErrorQueueGuard guard;
  const DigestContext context(EVP_MD_CTX_new());
  auto size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  Bytes signature(size);
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1) return {};
  if (EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    return {};
  }
  signature.resize(size);
  return signature;
}

Result<> check(KeyType type, EVP_PKEY* key) {
  return type == KeyType::ecdsa ? check_ecdsa(key) : check_rsa(key);
}

}  // namespace

void FreeEvpKey::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Result<EvpKey> evp_public_key(KeyType type, BytesView der) {
  const ErrorQueueGuard guard;
  if (der.size() > kMaxPublicDerBytes) return Errc::not_supported;
  const auto* at = der.data();
  EvpKey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (!key || at != der.data() + der.size()) return Errc::malformed;
  PYRSIA_TRY(check(type, key.get()));
  // A second encoding of the same key would be a second peer id.
  if (type == KeyType::ecdsa && der.size() != kEcdsaDerBytes) return Errc::malformed;
  if (!std::ranges::equal(evp_public_data(key.get()), der)) return Errc::malformed;
  return key;
}

Result<EvpKey> evp_private_key(KeyType type, BytesView der) {
  const ErrorQueueGuard guard;
  if (der.size() > kMaxPrivateDerBytes) return Errc::not_supported;
  const auto* at = der.data();
  const int id = type == KeyType::ecdsa ? EVP_PKEY_EC : EVP_PKEY_RSA;
  EvpKey key(d2i_PrivateKey(id, nullptr, &at, static_cast<long>(der.size())));
  if (!key || at != der.data() + der.size()) return Errc::malformed;
  PYRSIA_TRY(check(type, key.get()));
  if (type == KeyType::ecdsa &&
      EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                     OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1) {
    return Errc::malformed;
  }
  // The numbers of a key can parse and yet not belong together.
  const auto trial = try_sign(key.get(), der.first(1));
  if (trial.empty() || !evp_verify(key.get(), der.first(1), trial)) return Errc::malformed;
  return key;
}

EvpKey generate_p256_key() {
  EvpKey key(EVP_EC_gen("P-256"));
  assert(key);  // It fails only without random numbers or memory.
  return key;
}

Bytes evp_private_info(evp_pkey_st* key) {
  PKCS8_PRIV_KEY_INFO* info = EVP_PKEY2PKCS8(key);
  std::uint8_t* encoded = nullptr;
  const int size = i2d_PKCS8_PRIV_KEY_INFO(info, &encoded);
  PKCS8_PRIV_KEY_INFO_free(info);
  assert(size > 0);
  Bytes der(encoded, encoded + size);
  OPENSSL_clear_free(encoded, static_cast<std::size_t>(size));
  return der;
}

EvpKey evp_from_private_info(BytesView der) {
  const ErrorQueueGuard guard;
  const auto* at = der.data();
  EvpKey key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
  assert(key);
  return key;
}

Bytes evp_public_data(evp_pkey_st* key) {
  std::uint8_t* encoded = nullptr;
  const int size = i2d_PUBKEY(key, &encoded);
  if (size <= 0) return {};
  Bytes der(encoded, encoded + size);
  OPENSSL_free(encoded);
  return der;
}

Bytes evp_sign(evp_pkey_st* key, BytesView message) {
  auto signature = try_sign(key, message);
  assert(!signature.empty());
  return signature;
}

Bytes evp_sign_digest(evp_pkey_st* key, BytesView digest) {
  const ErrorQueueGuard guard;
  if (digest.size() != kSha256Bytes) return {};
  const std::unique_ptr<EVP_PKEY_CTX, FreeKeyContext> context(EVP_PKEY_CTX_new(key, nullptr));
  auto size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  Bytes signature(size);
  if (EVP_PKEY_sign_init(context.get()) != 1 ||
      EVP_PKEY_sign(context.get(), signature.data(), &size, digest.data(), digest.size()) != 1)
    return {};
  signature.resize(size);
  return signature;
}

bool evp_verify(evp_pkey_st* key, BytesView message, BytesView signature) {
  const ErrorQueueGuard guard;
  const DigestContext context(EVP_MD_CTX_new());
  if (EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1) return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace pyrsia::crypto

/// For tests: certificates of libp2p's kind with any part spoiled.
#pragma once

#include "base/hex.hpp"
#include "crypto/certificate_signature.hpp"
#include "crypto/der.hpp"
#include "crypto/evp_key.hpp"
#include "crypto/spec_keys.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/time.hpp>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::crypto {

inline constexpr std::string_view kOurOid = "2b0601040183a25a0101";
inline constexpr std::string_view kBasicConstraintsOid = "551d13";
inline Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}

inline KeyPair host_key() {
  return KeyPair::from_protobuf(unhex(kSpecKeys[0].secret_hex)).value();
}

/// What a certificate is made of, each part to be spoiled; build() signs it with its own key.
struct Recipe {
  EvpKey key{EVP_EC_gen("P-256")};
  const char* hash = "SHA256";
  bool is_pss = false;
  Bytes algorithm{kEcdsaSha256.begin(), kEcdsaSha256.end()};
  Bytes version = unhex("a003020102");
  Bytes not_before = der::element(der::kUtcTime, {as_bytes("200101000000Z")});
  Bytes not_after = der::element(der::kGeneralizedTime, {as_bytes("40960101000000Z")});
  Bytes unique_id;
  std::string signed_prefix = "libp2p-tls-handshake:";
  std::vector<Bytes> extensions;  // Empty: the right one.
  bool is_without_extensions = false;

  Bytes key_info() const { return evp_public_data(key.get()); }

  Bytes extension_value() const {
    auto message = Bytes(as_bytes(signed_prefix).begin(), as_bytes(signed_prefix).end());
    const auto info = key_info();
    message.insert(message.end(), info.begin(), info.end());
    const auto host = host_key();
    return der::element(der::kSequence,
                        {der::element(der::kOctetString, {host.public_key().to_protobuf()}),
                         der::element(der::kOctetString, {host.sign(message)})});
  }

  static Bytes extension(std::string_view oid_hex, BytesView value, BytesView critical) {
    return der::element(der::kSequence, {der::element(der::kOid, {unhex(oid_hex)}), critical,
                                         der::element(der::kOctetString, {value})});
  }
  static Bytes critical() { return unhex("0101ff"); }

  Bytes sign(BytesView message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* inner = nullptr;
    EVP_DigestSignInit_ex(context, &inner, hash, nullptr, nullptr, key.get(), nullptr);
    if (is_pss) {
      EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST);
    }
    Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())) + 64);
    auto size = signature.size();
    const int signed_well =
        EVP_DigestSign(context, signature.data(), &size, message.data(), message.size());
    if (signed_well != 1) std::abort();
    EVP_MD_CTX_free(context);
    signature.resize(size);
    return signature;
  }

  Bytes build() const {
    Bytes list;
    auto all = extensions;
    if (all.empty()) all.push_back(extension(kOurOid, extension_value(), {}));
    for (const auto& each : all) list.insert(list.end(), each.begin(), each.end());
    Bytes wrapped;
    if (!is_without_extensions)
      wrapped = der::element(der::context(3), {der::element(der::kSequence, {list})});
    const auto name = der::element(der::kSequence, {});
    const auto part =
        der::element(der::kSequence, {version, unhex("020101"), algorithm, name,
                                      der::element(der::kSequence, {not_before, not_after}), name,
                                      key_info(), unique_id, wrapped});
    return der::element(der::kSequence, {part, algorithm,
                                         der::element(der::kBitString, {unhex("00"), sign(part)})});
  }
};

}  // namespace pyrsia::crypto

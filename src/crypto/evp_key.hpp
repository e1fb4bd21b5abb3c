/// ECDSA P-256 and RSA keys, which OpenSSL handles.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/key.hpp>
#include <pyrsia/result.hpp>

#include <memory>

struct evp_pkey_st;

namespace pyrsia::crypto {

struct FreeEvpKey {
  void operator()(evp_pkey_st* key) const;
};
using EvpKey = std::unique_ptr<evp_pkey_st, FreeEvpKey>;

/// From DER: a public key as SubjectPublicKeyInfo in its canonical form, a private one as
/// SEC 1 or PKCS#1. `type` is ecdsa or rsa.
/// Errors: `Errc::malformed`, `Errc::not_supported` (another curve; RSA not of 2048 to 8192 bits).
Result<EvpKey> evp_public_key(KeyType type, BytesView der);
Result<EvpKey> evp_private_key(KeyType type, BytesView der);

/// A new ECDSA key on P-256 from the kernel's random numbers.
EvpKey generate_p256_key();
/// The secret half as PrivateKeyInfo (PKCS#8) in DER.
Bytes evp_private_info(evp_pkey_st* key);
/// The key of what evp_private_info() made.
EvpKey evp_from_private_info(BytesView der);

/// The public half as SubjectPublicKeyInfo.
Bytes evp_public_data(evp_pkey_st* key);

/// ECDSA in DER or RSA PKCS#1 v1.5, both over SHA-256.
Bytes evp_sign(evp_pkey_st* key, BytesView message);
/// ECDSA in DER of a message that was hashed already. Empty if that is none of SHA-256.
Bytes evp_sign_digest(evp_pkey_st* key, BytesView digest);
bool evp_verify(evp_pkey_st* key, BytesView message, BytesView signature);

}  // namespace pyrsia::crypto

#include "crypto/secp256k1_key.hpp"

#include "crypto/hash.hpp"

#include <secp256k1.h>

#include <array>
#include <cassert>

namespace pyrsia::crypto {
namespace {

constexpr std::size_t kMaxDerBytes = 72;

/// Blinded once, so that signing gives less away by its timing. Never freed.
const secp256k1_context* context() {
  static const secp256k1_context* const kContext = [] {
    auto* made = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    Secret<32> seed;
    fill_random(seed);
    const int done = secp256k1_context_randomize(made, seed.data());
    assert(done == 1);
    return made;
  }();
  return kContext;
}

bool parse(BytesView data, secp256k1_pubkey& key) {
  return data.size() == kSecp256k1PublicBytes &&
         secp256k1_ec_pubkey_parse(context(), &key, data.data(), data.size()) == 1;
}

}  // namespace

bool is_secp256k1_public(BytesView data) {
  secp256k1_pubkey key;
  return parse(data, key);
}

Result<Bytes> secp256k1_public(std::span<const std::uint8_t, 32> secret) {
  secp256k1_pubkey key;
  if (secp256k1_ec_pubkey_create(context(), &key, secret.data()) != 1) return Errc::malformed;
  Bytes data(kSecp256k1PublicBytes);
  std::size_t size = data.size();
  secp256k1_ec_pubkey_serialize(context(), data.data(), &size, &key, SECP256K1_EC_COMPRESSED);
  return data;
}

Bytes secp256k1_sign(std::span<const std::uint8_t, 32> secret, BytesView message) {
  const auto hash = sha256(message);
  secp256k1_ecdsa_signature signature;
  int done =
      secp256k1_ecdsa_sign(context(), &signature, hash.data(), secret.data(), nullptr, nullptr);
  assert(done == 1);
  Bytes der(kMaxDerBytes);
  std::size_t size = der.size();
  done = secp256k1_ecdsa_signature_serialize_der(context(), der.data(), &size, &signature);
  assert(done == 1);
  der.resize(size);
  return der;
}

bool secp256k1_verify(BytesView public_data, BytesView message, BytesView signature) {
  secp256k1_pubkey key;
  secp256k1_ecdsa_signature parsed;
  // The library aborts on a null pointer, which an empty signature may be.
  if (signature.empty() || !parse(public_data, key)) return false;
  if (secp256k1_ecdsa_signature_parse_der(context(), &parsed, signature.data(), signature.size()) !=
      1) {
    return false;
  }
  secp256k1_ecdsa_signature_normalize(context(), &parsed, &parsed);
  return secp256k1_ecdsa_verify(context(), &parsed, sha256(message).data(), &key) == 1;
}

}  // namespace pyrsia::crypto

#pragma once

#include "crypto/evp_key.hpp"
#include "crypto/secret.hpp"

#include <pyrsia/key.hpp>

namespace pyrsia {

/// What a KeyPair shares with its copies.
struct KeyPair::Secret {
  PublicKey public_key;
  /// Ed25519: seed and public key. secp256k1: the scalar in the first half. Others: nothing.
  crypto::Secret<64> bytes;
  crypto::EvpKey evp_key;  ///< ECDSA and RSA only.
};

}  // namespace pyrsia

/// ECDSA over secp256k1 with SHA-256, signatures in DER. The curve of libp2p's Secp256k1 keys.
#pragma once

#include "crypto/secret.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <span>

namespace pyrsia::crypto {

inline constexpr std::size_t kSecp256k1PublicBytes = 33;

/// True if `data` is a point of the curve in its compressed form.
bool is_secp256k1_public(BytesView data);

/// The compressed public key. Errors: `Errc::malformed` if `secret` is 0 or over the order.
Result<Bytes> secp256k1_public(std::span<const std::uint8_t, 32> secret);

Bytes secp256k1_sign(std::span<const std::uint8_t, 32> secret, BytesView message);
/// Takes high S values too, as the other implementations do.
bool secp256k1_verify(BytesView public_data, BytesView message, BytesView signature);

}  // namespace pyrsia::crypto

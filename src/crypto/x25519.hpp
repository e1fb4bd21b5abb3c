/// Diffie-Hellman over Curve25519. Spec: RFC 7748.
#pragma once

#include "crypto/secret.hpp"

#include <pyrsia/result.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace pyrsia::crypto {

/// The public key of any 32 secret bytes.
std::array<std::uint8_t, 32> x25519_public(std::span<const std::uint8_t, 32> secret);

/// The secret that both sides share. Errors: `Errc::malformed` if it would be all zero: the
/// peer's point has a small order.
Result<Secret<32>> x25519_shared(std::span<const std::uint8_t, 32> secret,
                                 std::span<const std::uint8_t, 32> peer_public);

}  // namespace pyrsia::crypto

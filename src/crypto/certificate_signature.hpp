/// The keys and signature schemes that certificates may have: ECDSA on P-256 with SHA-256 and on
/// P-384 with SHA-384, Ed25519, RSA of 2048 to 8192 bits in PKCS#1 v1.5 or PSS with SHA-256, -384
/// or -512. What other implementations take; SHA-1, MD5 and curves without a name are none of them.
/// Spec: libp2p/specs, tls, "Peer Authentication"; RFC 3279, 4055, 5480, 5758, 8410.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <array>

namespace pyrsia::crypto {

/// The AlgorithmIdentifier of ecdsa-with-SHA256.
inline constexpr std::array<std::uint8_t, 12> kEcdsaSha256 = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                              0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

/// True if `signature` is that of `message` by the key in `key_info`, a SubjectPublicKeyInfo, with
/// the scheme that `algorithm`, an AlgorithmIdentifier, names; all in DER.
/// Errors: `Errc::not_supported` (key, scheme, or the one does not fit the other),
/// `Errc::malformed` (key).
Result<bool> verify_signature(BytesView key_info, BytesView algorithm, BytesView message,
                              BytesView signature);

}  // namespace pyrsia::crypto

/// Bytes as text that begins with a letter for its base. Spec: multiformats/multibase.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <string>
#include <string_view>

namespace pyrsia {

/// Reads base16 ('f', 'F'), base32 ('b', 'B'), base36 ('k', 'K'), base58btc ('z'), base64 ('m')
/// and base64url ('u'), all without padding.
/// Errors: `Errc::malformed` (also for another base and for bits left over that are not zero),
/// `Errc::too_large` (base36 and base58 only).
Result<Bytes> from_multibase(std::string_view text);

/// Lower-case base32 without padding (RFC 4648), without the letter in front.
std::string to_base32(BytesView bytes);
/// Either case. Errors: `Errc::malformed`.
Result<Bytes> from_base32(std::string_view text);

/// base64 with padding (RFC 4648).
std::string to_base64(BytesView bytes);
/// base64url without padding (RFC 4648), without the letter in front.
std::string to_base64url(BytesView bytes);

}  // namespace pyrsia

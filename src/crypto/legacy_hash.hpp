/// Hashes that are broken for signatures and still what STUN demands of its keyed checksums.
/// Spec: RFC 1321 (MD5), RFC 3174 (SHA-1), RFC 2104 (HMAC).
#pragma once

#include <pyrsia/bytes.hpp>

#include <array>
#include <cstdint>
#include <initializer_list>

namespace pyrsia::crypto {

std::array<std::uint8_t, 16> md5(BytesView data);

/// Of all `parts`, one after another.
std::array<std::uint8_t, 20> hmac_sha1(BytesView key, std::initializer_list<BytesView> parts);

}  // namespace pyrsia::crypto

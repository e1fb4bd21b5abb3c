/// ChaCha20-Poly1305 as Noise uses it: the nonce is 4 zero bytes and a 64-bit little-endian
/// counter. Spec: RFC 8439; Noise rev. 34, 12.3.
#pragma once

#include "crypto/secret.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace pyrsia::crypto {

inline constexpr std::size_t kTagBytes = 16;

/// One direction's key. Holds the 32 bytes only: the cipher state lives in one context for all
/// keys, so an idle connection costs nothing more. The caller counts the nonces.
class AeadKey {
 public:
  explicit AeadKey(std::span<const std::uint8_t, 32> key) : key_(key) {}

  /// Seals `parts`, in order, into `out`, which is their sizes' sum and kTagBytes long. No part
  /// lies in `out`, but for a single one that begins where `out` begins.
  void seal(std::uint64_t counter, BytesView aad, std::span<const BytesView> parts,
            std::span<std::uint8_t> out) const;
  void seal(std::uint64_t counter, BytesView aad, BytesView plain,
            std::span<std::uint8_t> out) const;

  /// Opens `sealed` where it lies; the result is its part before the tag. What `sealed` holds
  /// after a failure is undefined. Errors: `Errc::bad_signature` (also if it is under kTagBytes).
  Result<std::span<std::uint8_t>> open(std::uint64_t counter, BytesView aad,
                                       std::span<std::uint8_t> sealed) const;

 private:
  Secret<32> key_;
};

}  // namespace pyrsia::crypto

/// SHA-256 and what Noise builds on it. Spec: FIPS 180-4, RFC 2104, Noise rev. 34, 4.3.
#pragma once

#include "crypto/secret.hpp"

#include <pyrsia/bytes.hpp>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace pyrsia::crypto {

using Hash = std::array<std::uint8_t, 32>;

/// Only where a protocol asks for it and nothing depends on its strength.
std::array<std::uint8_t, 20> sha1(BytesView data);

Hash sha256(BytesView data);
/// Of all `parts`, one after another.
Hash sha256(std::initializer_list<BytesView> parts);

Hash hmac_sha256(BytesView key, std::initializer_list<BytesView> parts);
Hash hmac_sha256(BytesView key, BytesView data);

/// HKDF of Noise with 2 outputs.
struct TwoKeys {
  Secret<32> first;
  Secret<32> second;
};
TwoKeys hkdf2(BytesView chaining_key, BytesView input);

/// HKDF of Noise with 3 outputs.
struct ThreeKeys {
  Secret<32> first;
  Secret<32> second;
  Secret<32> third;
};
ThreeKeys hkdf3(BytesView chaining_key, BytesView input);

}  // namespace pyrsia::crypto

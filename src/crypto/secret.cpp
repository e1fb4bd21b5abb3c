#include "crypto/secret.hpp"

#include "crypto/sodium.hpp"

#include <sodium.h>

namespace pyrsia::crypto {

void wipe(std::span<std::uint8_t> bytes) {
  sodium_memzero(bytes.data(), bytes.size());
}

void fill_random(std::span<std::uint8_t> out) {
  use_sodium();
  randombytes_buf(out.data(), out.size());
}

}  // namespace pyrsia::crypto

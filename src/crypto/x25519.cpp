#include "crypto/x25519.hpp"

#include "crypto/sodium.hpp"

#include <sodium.h>

namespace pyrsia::crypto {

std::array<std::uint8_t, 32> x25519_public(std::span<const std::uint8_t, 32> secret) {
  use_sodium();
  std::array<std::uint8_t, 32> out{};
  crypto_scalarmult_base(out.data(), secret.data());
  return out;
}

Result<Secret<32>> x25519_shared(std::span<const std::uint8_t, 32> secret,
                                 std::span<const std::uint8_t, 32> peer_public) {
  use_sodium();
  Secret<32> shared;
  if (crypto_scalarmult(shared.data(), secret.data(), peer_public.data()) != 0) {
    return Errc::malformed;
  }
  return shared;
}

}  // namespace pyrsia::crypto

#include "crypto/hash.hpp"
#include "transport/quic/config.hpp"

#include <algorithm>

namespace pyrsia::transport::quic {

Secrets::Secrets(const KeyPair& host_key) {
  // A signature that is never shown: Ed25519 makes the same one each time. With other kinds of
  // keys the secrets last as long as the process.
  const auto seed = host_key.sign(as_bytes("pyrsia quic secrets, not for sending"));
  const auto reset_key = crypto::hmac_sha256(seed, as_bytes("stateless reset"));
  const auto token_key = crypto::hmac_sha256(seed, as_bytes("address token"));
  std::copy_n(reset_key.begin(), reset.size(), reset.begin());
  std::copy_n(token_key.begin(), token.size(), token.begin());
}

std::array<std::uint8_t, 32> Secrets::reset_key(const pyrsia::Endpoint& local) const {
  const auto socket = crypto::hmac_sha256(reset, as_bytes(local.to_string()));
  std::array<std::uint8_t, 32> key;
  std::copy_n(socket.begin(), key.size(), key.begin());
  return key;
}

}  // namespace pyrsia::transport::quic

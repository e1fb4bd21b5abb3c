/// Noise_XX_25519_ChaChaPoly_SHA256, without any input or output.
/// Spec: Noise Protocol Framework rev. 34, sections 5 and 7.
#pragma once

#include "base/role.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <array>
#include <optional>

namespace pyrsia::secure::noise {

inline constexpr std::size_t kKeyBytes = 32;
/// Largest Noise message, in bytes (rev. 34, section 3).
inline constexpr std::size_t kMaxMessageBytes = 65535;

using PublicBytes = std::array<std::uint8_t, kKeyBytes>;

/// Chaining key, hash and cipher of a handshake (rev. 34, 5.1 and 5.2).
class SymmetricState {
 public:
  explicit SymmetricState(BytesView prologue);

  void mix_hash(BytesView data);
  void mix_key(BytesView input);
  /// Appends `plain` to `out`, sealed once there is a key.
  void encrypt_and_hash(BytesView plain, Bytes& out);
  /// Errors: `Errc::bad_signature`.
  Result<Bytes> decrypt_and_hash(BytesView sealed);
  /// Bytes that encrypt_and_hash() adds.
  std::size_t tag_bytes() const { return key_ ? crypto::kTagBytes : 0; }
  crypto::TwoKeys split() const;
  const crypto::Hash& hash() const { return hash_; }

 private:
  crypto::Secret<kKeyBytes> chaining_key_;
  crypto::Hash hash_;
  std::optional<crypto::AeadKey> key_;
  std::uint64_t nonce_ = 0;
};

/// One side of XX: three messages, written and read in turn, beginning with the initiator's.
class HandshakeState {
 public:
  /// `static_secret` and `static_public` must outlive the state.
  HandshakeState(Role role, BytesView prologue,
                 const std::array<std::uint8_t, kKeyBytes>& static_secret,
                 const PublicBytes& static_public,
                 const crypto::Secret<kKeyBytes>& ephemeral_secret);

  /// The next message, which is ours. Errors: `Errc::malformed` (a key of the peer is void).
  Result<Bytes> write(BytesView payload);
  /// Takes the peer's next message; returns its payload. After an error the handshake is over.
  /// Errors: `Errc::malformed` (too short, or a void key), `Errc::bad_signature`.
  Result<Bytes> read(BytesView message);

  /// The peer's static key, once a message brought it.
  const PublicBytes& peer_static() const { return peer_static_; }
  /// After message 3: the keys for initiator to responder, and back.
  crypto::TwoKeys split() const { return symmetric_.split(); }
  const crypto::Hash& hash() const { return symmetric_.hash(); }

 private:
  Result<> mix_shared(std::span<const std::uint8_t, kKeyBytes> secret, const PublicBytes& peer);

  Role role_;
  const std::array<std::uint8_t, kKeyBytes>& static_secret_;
  const PublicBytes& static_public_;
  crypto::Secret<kKeyBytes> ephemeral_secret_;
  PublicBytes peer_ephemeral_{};
  PublicBytes peer_static_{};
  SymmetricState symmetric_;
  int next_message_ = 1;
};

}  // namespace pyrsia::secure::noise

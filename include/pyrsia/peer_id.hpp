#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace pyrsia {

/// The name of a peer: the multihash of its public key. Spec: libp2p/specs, peer-ids.
/// Ed25519 ids are 38 bytes (identity hash), RSA and ECDSA ids 34 (sha2-256).
class PeerId {
 public:
  /// From multihash bytes. Errors: `Errc::malformed` unless it is an identity hash of 1 to
  /// 42 bytes or a sha2-256 hash.
  static Result<PeerId> from_bytes(BytesView multihash);
  /// From base58btc ("12D3KooW…", "Qm…") or a CIDv1 of codec libp2p-key (0x72) in any of base16,
  /// base32, base36, base58btc. Errors: `Errc::malformed`.
  static Result<PeerId> parse(std::string_view text);

  BytesView bytes() const { return as_bytes(bytes_); }
  std::string to_string() const;      ///< base58btc
  std::string to_cid_string() const;  ///< CIDv1, base32: "bafz…"

  auto operator<=>(const PeerId&) const = default;

 private:
  explicit PeerId(std::string bytes) : bytes_(std::move(bytes)) {}

  std::string bytes_;
  friend struct std::hash<PeerId>;
};

}  // namespace pyrsia

template <>
struct std::hash<pyrsia::PeerId> {
  std::size_t operator()(const pyrsia::PeerId& id) const noexcept {
    return std::hash<std::string>()(id.bytes_);
  }
};

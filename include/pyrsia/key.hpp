#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>

#include <filesystem>
#include <memory>
#include <span>

namespace pyrsia {

/// Values are those of the wire. Spec: libp2p/specs, peer-ids, "Keys".
enum class KeyType { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

/// A peer's public key, checked when it was made.
class PublicKey {
 public:
  /// From `data` as the spec has it: Ed25519 32 bytes, secp256k1 33 bytes compressed, ECDSA and
  /// RSA DER SubjectPublicKeyInfo (RSA 2048 to 8192 bits, ECDSA on P-256).
  /// Errors: `Errc::malformed`, `Errc::not_supported` (type, curve or size).
  static Result<PublicKey> make(KeyType type, BytesView data);
  /// From the PublicKey message in its deterministic form, the only one that is read.
  /// Errors: as make().
  static Result<PublicKey> from_protobuf(BytesView message);

  KeyType type() const { return type_; }
  BytesView data() const { return data_; }
  /// The PublicKey message in its deterministic form.
  Bytes to_protobuf() const;
  PeerId peer_id() const;
  bool verify(BytesView message, BytesView signature) const;

  bool operator==(const PublicKey&) const = default;

 private:
  PublicKey(KeyType type, Bytes data) : type_(type), data_(std::move(data)) {}

  KeyType type_;
  Bytes data_;
  friend class KeyPair;
};

/// A key pair. Copies share the key; the secret is wiped when the last one goes.
class KeyPair {
 public:
  /// A new Ed25519 key from the kernel's random numbers.
  static KeyPair generate();
  /// From a 32-byte Ed25519 seed.
  static KeyPair from_seed(std::span<const std::uint8_t, 32> seed);
  /// From the PrivateKey message, of any type: Ed25519 64 bytes (or the old 96), secp256k1 32,
  /// ECDSA SEC 1 DER, RSA PKCS#1 DER. Errors: `Errc::malformed`, `Errc::not_supported`.
  static Result<KeyPair> from_protobuf(BytesView message);
  /// Reads the original node's key file: 64 bytes, Ed25519 seed and public key. The two halves
  /// must agree. Errors: `Errc::not_found`, `Errc::permission_denied`, `Errc::malformed` (size or
  /// halves), `Errc::io_failed`.
  static Result<KeyPair> load(const std::filesystem::path& file);

  /// Writes an Ed25519 key as load() reads it, mode 0600; directories are made. Never
  /// overwrites. Errors: `Errc::already_exists`, `Errc::permission_denied`, `Errc::disk_full`,
  /// `Errc::not_found` (a file where a directory belongs), `Errc::io_failed`,
  /// `Errc::not_supported` (not Ed25519).
  Result<> save(const std::filesystem::path& file) const;
  /// True if `file` exists and its mode lets others than its owner read or write it: the program
  /// that loads it should say so.
  static bool is_readable_by_others(const std::filesystem::path& file);

  const PublicKey& public_key() const;
  PeerId peer_id() const { return public_key().peer_id(); }
  /// Ed25519 64 bytes; secp256k1 and ECDSA DER; RSA PKCS#1 v1.5. SHA-256 but for Ed25519.
  Bytes sign(BytesView message) const;

 private:
  struct Secret;
  explicit KeyPair(std::shared_ptr<const Secret> secret) : secret_(std::move(secret)) {}

  std::shared_ptr<const Secret> secret_;
};

}  // namespace pyrsia

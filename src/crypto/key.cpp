#include "base/varint.hpp"
#include "crypto/hash.hpp"
#include "crypto/key_secret.hpp"
#include "crypto/secp256k1_key.hpp"
#include "crypto/sodium.hpp"

#include <pyrsia/key.hpp>

#include <sodium.h>

#include <algorithm>
#include <cassert>

namespace pyrsia {
namespace {

constexpr std::uint8_t kTypeTag = 0x08;  // Field 1, varint.
constexpr std::uint8_t kDataTag = 0x12;  // Field 2, bytes.
constexpr std::size_t kEd25519PublicBytes = 32;
constexpr std::size_t kEd25519SecretBytes = 64;
constexpr std::size_t kEd25519OldSecretBytes = 96;
constexpr std::size_t kMaxInlineKeyBytes = 42;

struct KeyMessage {
  KeyType type;
  BytesView data;
};

/// The messages PublicKey and PrivateKey. Only the deterministic form is read: any other would
/// give the same key a second peer id.
Result<KeyMessage> read_message(BytesView message) {
  if (message.size() < 4 || message[0] != kTypeTag || message[2] != kDataTag) {
    return Errc::malformed;
  }
  if (message[1] > static_cast<std::uint8_t>(KeyType::ecdsa)) return Errc::not_supported;
  PYRSIA_TRY(const auto length, read_varint(message.subspan(3)));
  if (length.value != length.rest.size()) return Errc::malformed;
  return KeyMessage{static_cast<KeyType>(message[1]), length.rest};
}

Bytes to_bytes(BytesView view) {
  return {view.begin(), view.end()};
}

/// Seed and public key that belong together.
bool is_ed25519_pair(BytesView bytes) {
  crypto::use_sodium();
  crypto::Secret<kEd25519SecretBytes> secret;
  std::array<std::uint8_t, kEd25519PublicBytes> derived{};
  crypto_sign_seed_keypair(derived.data(), secret.data(), bytes.data());
  return std::ranges::equal(derived, bytes.subspan(32));
}

}  // namespace

Result<PublicKey> PublicKey::make(KeyType type, BytesView data) {
  switch (type) {
    case KeyType::ed25519:
      if (data.size() != kEd25519PublicBytes) return Errc::malformed;
      return PublicKey(type, to_bytes(data));
    case KeyType::secp256k1:
      if (!crypto::is_secp256k1_public(data)) return Errc::malformed;
      return PublicKey(type, to_bytes(data));
    case KeyType::ecdsa:
    case KeyType::rsa: {
      PYRSIA_TRY(crypto::evp_public_key(type, data));
      return PublicKey(type, to_bytes(data));
    }
  }
  return Errc::not_supported;
}

Result<PublicKey> PublicKey::from_protobuf(BytesView message) {
  PYRSIA_TRY(const auto key, read_message(message));
  return make(key.type, key.data);
}

Bytes PublicKey::to_protobuf() const {
  Bytes message{kTypeTag, static_cast<std::uint8_t>(type_), kDataTag};
  message.reserve(message.size() + kMaxVarintBytes + data_.size());
  append_varint(message, data_.size());
  message.insert(message.end(), data_.begin(), data_.end());
  return message;
}

PeerId PublicKey::peer_id() const {
  const auto message = to_protobuf();
  Bytes multihash;
  if (message.size() <= kMaxInlineKeyBytes) {
    multihash = {0x00, static_cast<std::uint8_t>(message.size())};
    multihash.insert(multihash.end(), message.begin(), message.end());
  } else {
    const auto hash = crypto::sha256(message);
    multihash = {0x12, 0x20};
    multihash.insert(multihash.end(), hash.begin(), hash.end());
  }
  return *PeerId::from_bytes(multihash);
}

bool PublicKey::verify(BytesView message, BytesView signature) const {
  switch (type_) {
    case KeyType::ed25519:
      crypto::use_sodium();
      return signature.size() == crypto_sign_BYTES &&
             crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                         data_.data()) == 0;
    case KeyType::secp256k1: return crypto::secp256k1_verify(data_, message, signature);
    case KeyType::ecdsa:
    case KeyType::rsa: {
      const auto key = crypto::evp_public_key(type_, data_);
      return key && crypto::evp_verify(key->get(), message, signature);
    }
  }
  return false;
}

KeyPair KeyPair::generate() {
  crypto::Secret<32> seed;
  crypto::fill_random(seed);
  return from_seed(seed);
}

KeyPair KeyPair::from_seed(std::span<const std::uint8_t, 32> seed) {
  crypto::use_sodium();
  crypto::Secret<kEd25519SecretBytes> bytes;
  Bytes data(kEd25519PublicBytes);
  crypto_sign_seed_keypair(data.data(), bytes.data(), seed.data());
  PublicKey public_key(KeyType::ed25519, std::move(data));
  return KeyPair(std::make_shared<const Secret>(Secret{std::move(public_key), bytes, nullptr}));
}

Result<KeyPair> KeyPair::from_protobuf(BytesView message) {
  PYRSIA_TRY(const auto key, read_message(message));
  auto data = key.data;
  switch (key.type) {
    case KeyType::ed25519: {
      if (data.size() == kEd25519OldSecretBytes) {  // The public key stands there twice.
        if (!std::ranges::equal(data.subspan(32, 32), data.subspan(64))) return Errc::malformed;
        data = data.first(kEd25519SecretBytes);
      }
      if (data.size() != kEd25519SecretBytes || !is_ed25519_pair(data)) return Errc::malformed;
      return from_seed(data.first<32>());
    }
    case KeyType::secp256k1: {
      if (data.size() != 32) return Errc::malformed;
      const auto scalar = data.first<32>();
      PYRSIA_TRY(auto public_data, crypto::secp256k1_public(scalar));
      Secret secret{PublicKey(key.type, std::move(public_data)), {}, nullptr};
      std::ranges::copy(scalar, secret.bytes.begin());
      return KeyPair(std::make_shared<const Secret>(std::move(secret)));
    }
    case KeyType::ecdsa:
    case KeyType::rsa: {
      PYRSIA_TRY(auto evp_key, crypto::evp_private_key(key.type, data));
      PublicKey public_key(key.type, crypto::evp_public_data(evp_key.get()));
      Secret secret{std::move(public_key), {}, std::move(evp_key)};
      return KeyPair(std::make_shared<const Secret>(std::move(secret)));
    }
  }
  return Errc::not_supported;
}

const PublicKey& KeyPair::public_key() const {
  return secret_->public_key;
}

Bytes KeyPair::sign(BytesView message) const {
  switch (public_key().type()) {
    case KeyType::ed25519: {
      Bytes signature(crypto_sign_BYTES);
      crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                           secret_->bytes.data());
      return signature;
    }
    case KeyType::secp256k1:
      return crypto::secp256k1_sign(std::span(secret_->bytes).first<32>(), message);
    case KeyType::ecdsa:
    case KeyType::rsa: return crypto::evp_sign(secret_->evp_key.get(), message);
  }
  return {};
}

}  // namespace pyrsia

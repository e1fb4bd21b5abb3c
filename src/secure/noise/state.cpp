#include "secure/noise/state.hpp"

#include "crypto/x25519.hpp"

#include <algorithm>
#include <cassert>
#include <string_view>

namespace pyrsia::secure::noise {
namespace {

/// Exactly as long as a hash, so it is the first hash itself.
constexpr std::string_view kName = "Noise_XX_25519_ChaChaPoly_SHA256";
static_assert(kName.size() == std::tuple_size_v<crypto::Hash>);

}  // namespace

SymmetricState::SymmetricState(BytesView prologue) {
  std::ranges::copy(kName, hash_.begin());
  std::ranges::copy(hash_, chaining_key_.begin());
  mix_hash(prologue);
}

void SymmetricState::mix_hash(BytesView data) {
  hash_ = crypto::sha256({BytesView(hash_), data});
}

void SymmetricState::mix_key(BytesView input) {
  const auto keys = crypto::hkdf2(chaining_key_, input);
  chaining_key_ = keys.first;
  key_.emplace(keys.second);
  nonce_ = 0;
}

void SymmetricState::encrypt_and_hash(BytesView plain, Bytes& out) {
  const auto begin = out.size();
  if (key_) {
    out.resize(begin + plain.size() + crypto::kTagBytes);
    key_->seal(nonce_++, hash_, plain, std::span(out).subspan(begin));
  } else {
    out.insert(out.end(), plain.begin(), plain.end());
  }
  mix_hash(std::span(out).subspan(begin));
}

Result<Bytes> SymmetricState::decrypt_and_hash(BytesView sealed) {
  Bytes plain(sealed.begin(), sealed.end());
  if (key_) {
    PYRSIA_TRY(const auto opened, key_->open(nonce_++, hash_, plain));
    plain.resize(opened.size());
  }
  mix_hash(sealed);
  return plain;
}

crypto::TwoKeys SymmetricState::split() const {
  return crypto::hkdf2(chaining_key_, {});
}

HandshakeState::HandshakeState(Role role, BytesView prologue,
                               const std::array<std::uint8_t, kKeyBytes>& static_secret,
                               const PublicBytes& static_public,
                               const crypto::Secret<kKeyBytes>& ephemeral_secret)
    : role_(role),
      static_secret_(static_secret),
      static_public_(static_public),
      ephemeral_secret_(ephemeral_secret),
      symmetric_(prologue) {}

Result<Bytes> HandshakeState::write(BytesView payload) {
  const int message = next_message_++;
  assert(message <= 3 && (message % 2 == 1) == (role_ == Role::initiator));
  Bytes out;
  if (message != 3) {
    const auto ephemeral = crypto::x25519_public(ephemeral_secret_);
    out.insert(out.end(), ephemeral.begin(), ephemeral.end());
    symmetric_.mix_hash(ephemeral);
  }
  if (message == 2) PYRSIA_TRY(mix_shared(ephemeral_secret_, peer_ephemeral_));
  if (message != 1) {
    symmetric_.encrypt_and_hash(static_public_, out);
    PYRSIA_TRY(mix_shared(static_secret_, peer_ephemeral_));
  }
  symmetric_.encrypt_and_hash(payload, out);
  return out;
}

Result<Bytes> HandshakeState::read(BytesView message) {
  const int number = next_message_++;
  assert(number <= 3 && (number % 2 == 1) == (role_ == Role::responder));
  if (number != 3) {
    if (message.size() < kKeyBytes) return Errc::malformed;
    std::ranges::copy(message.first(kKeyBytes), peer_ephemeral_.begin());
    symmetric_.mix_hash(peer_ephemeral_);
    message = message.subspan(kKeyBytes);
  }
  if (number == 2) PYRSIA_TRY(mix_shared(ephemeral_secret_, peer_ephemeral_));
  if (number != 1) {
    const auto size = kKeyBytes + symmetric_.tag_bytes();
    if (message.size() < size) return Errc::malformed;
    PYRSIA_TRY(const auto peer_static, symmetric_.decrypt_and_hash(message.first(size)));
    std::ranges::copy(peer_static, peer_static_.begin());
    PYRSIA_TRY(mix_shared(ephemeral_secret_, peer_static_));
    message = message.subspan(size);
  }
  if (message.size() < symmetric_.tag_bytes()) return Errc::malformed;
  return symmetric_.decrypt_and_hash(message);
}

Result<> HandshakeState::mix_shared(std::span<const std::uint8_t, kKeyBytes> secret,
                                    const PublicBytes& peer) {
  PYRSIA_TRY(const auto shared, crypto::x25519_shared(secret, peer));
  symmetric_.mix_key(shared);
  return ok;
}

}  // namespace pyrsia::secure::noise

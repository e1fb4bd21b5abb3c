#include "crypto/aead.hpp"

#include "crypto/sodium.hpp"

#include <openssl/evp.h>
#include <sodium.h>

#include <array>
#include <cassert>
#include <cstring>
#include <memory>

namespace pyrsia::crypto {
namespace {

/// Up to here libsodium is faster, as it has no context to set up.
constexpr std::size_t kSmallBytes = 512;

using Nonce = std::array<std::uint8_t, 12>;

Nonce nonce_of(std::uint64_t counter) {
  Nonce nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(counter >> (8 * i));
  return nonce;
}

/// A cipher context that takes a new key with every message.
class Context {
 public:
  explicit Context(bool is_sealing) : context_(EVP_CIPHER_CTX_new()) {
    assert(context_);
    // The algorithm is looked up here, once; later calls change key and nonce only.
    const int done = EVP_CipherInit_ex(context_.get(), EVP_chacha20_poly1305(), nullptr, nullptr,
                                       nullptr, is_sealing ? 1 : 0);
    assert(done == 1);
  }

  void start(const std::uint8_t* key, const Nonce& nonce, BytesView aad) {
    const int done =
        EVP_CipherInit_ex(context_.get(), nullptr, nullptr, key, nonce.data(), /*enc=*/-1);
    assert(done == 1);
    int length = 0;
    if (!aad.empty()) update(nullptr, length, aad);
  }

  void update(std::uint8_t* out, int& length, BytesView in) {
    const int done =
        EVP_CipherUpdate(context_.get(), out, &length, in.data(), static_cast<int>(in.size()));
    assert(done == 1);
  }

  bool finish() {
    int length = 0;
    std::array<std::uint8_t, 16> unused{};
    return EVP_CipherFinal_ex(context_.get(), unused.data(), &length) == 1;
  }

  void control(int what, std::uint8_t* tag) {
    const int done = EVP_CIPHER_CTX_ctrl(context_.get(), what, kTagBytes, tag);
    assert(done == 1);
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };

  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
};

/// Every thread has its own, so that users on several threads need no lock.
Context& sealing_context() {
  thread_local Context context(true);
  return context;
}

Context& opening_context() {
  thread_local Context context(false);
  return context;
}

}  // namespace

void AeadKey::seal(std::uint64_t counter, BytesView aad, std::span<const BytesView> parts,
                   std::span<std::uint8_t> out) const {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  assert(out.size() == size + kTagBytes);
  const auto nonce = nonce_of(counter);
  if (size <= kSmallBytes) {
    auto* end = out.data();
    for (const auto part : parts) {
      if (!part.empty()) std::memmove(end, part.data(), part.size());
      end += part.size();
    }
    use_sodium();
    crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, out.data(), size, aad.data(),
                                              aad.size(), nullptr, nonce.data(), key_.data());
    return;
  }
  auto& context = sealing_context();
  context.start(key_.data(), nonce, aad);
  auto* end = out.data();
  for (const auto part : parts) {
    int length = 0;
    if (!part.empty()) context.update(end, length, part);
    end += length;
  }
  const bool done = context.finish();
  assert(done && end == out.data() + size);
  context.control(EVP_CTRL_AEAD_GET_TAG, end);
}

void AeadKey::seal(std::uint64_t counter, BytesView aad, BytesView plain,
                   std::span<std::uint8_t> out) const {
  seal(counter, aad, std::span(&plain, 1), out);
}

Result<std::span<std::uint8_t>> AeadKey::open(std::uint64_t counter, BytesView aad,
                                              std::span<std::uint8_t> sealed) const {
  if (sealed.size() < kTagBytes) return Errc::bad_signature;
  const auto nonce = nonce_of(counter);
  const auto body = sealed.first(sealed.size() - kTagBytes);
  if (body.size() <= kSmallBytes) {
    use_sodium();
    const int failed = crypto_aead_chacha20poly1305_ietf_decrypt(
        body.data(), nullptr, nullptr, sealed.data(), sealed.size(), aad.data(), aad.size(),
        nonce.data(), key_.data());
    if (failed != 0) return Errc::bad_signature;
    return body;
  }
  auto& context = opening_context();
  context.start(key_.data(), nonce, aad);
  context.control(EVP_CTRL_AEAD_SET_TAG, body.data() + body.size());
  int length = 0;
  context.update(body.data(), length, body);
  if (!context.finish()) return Errc::bad_signature;
  return body;
}

}  // namespace pyrsia::crypto

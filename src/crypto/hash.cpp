// The plain functions of OpenSSL, deprecated for the EVP ones, because those look the algorithm
// up and allocate each time: several times the cost of a block, and a handshake hashes 60 blocks.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace pyrsia::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;

/// A hash that is being fed.
class Sha256 {
 public:
  Sha256() { SHA256_Init(&state_); }
  Sha256(const Sha256&) = default;
  Sha256& operator=(const Sha256&) = default;
  ~Sha256() { wipe({reinterpret_cast<std::uint8_t*>(&state_), sizeof(state_)}); }

  void add(BytesView data) { SHA256_Update(&state_, data.data(), data.size()); }

  Hash finish() {
    Hash hash;
    SHA256_Final(hash.data(), &state_);
    return hash;
  }

 private:
  SHA256_CTX state_{};
};

/// The two halves of HMAC after the key, ready for any number of messages.
class Hmac {
 public:
  explicit Hmac(BytesView key) {
    Secret<kBlockBytes> pad;
    if (key.size() > kBlockBytes) {
      std::ranges::copy(sha256(key), pad.begin());
    } else {
      std::ranges::copy(key, pad.begin());
    }
    for (auto& byte : pad) byte ^= 0x36;
    inner_.add(pad);
    for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
    outer_.add(pad);
  }

  Hash of(std::initializer_list<BytesView> parts) const {
    Sha256 inner = inner_;
    for (const auto part : parts) inner.add(part);
    Sha256 outer = outer_;
    outer.add(inner.finish());
    return outer.finish();
  }

 private:
  Sha256 inner_;
  Sha256 outer_;
};

constexpr std::array<std::uint8_t, 1> kOne{1};
constexpr std::array<std::uint8_t, 1> kTwo{2};
constexpr std::array<std::uint8_t, 1> kThree{3};

}  // namespace

std::array<std::uint8_t, 20> sha1(BytesView data) {
  std::array<std::uint8_t, 20> hash;
  SHA1(data.data(), data.size(), hash.data());
  return hash;
}

Hash sha256(BytesView data) {
  return sha256({data});
}

Hash sha256(std::initializer_list<BytesView> parts) {
  Sha256 hash;
  for (const auto part : parts) hash.add(part);
  return hash.finish();
}

Hash hmac_sha256(BytesView key, std::initializer_list<BytesView> parts) {
  return Hmac(key).of(parts);
}

Hash hmac_sha256(BytesView key, BytesView data) {
  return Hmac(key).of({data});
}

TwoKeys hkdf2(BytesView chaining_key, BytesView input) {
  const Secret<32> temporary{hmac_sha256(chaining_key, input)};
  const Hmac hmac(temporary);
  TwoKeys keys;
  keys.first = Secret<32>{hmac.of({kOne})};
  keys.second = Secret<32>{hmac.of({keys.first, kTwo})};
  return keys;
}

ThreeKeys hkdf3(BytesView chaining_key, BytesView input) {
  const Secret<32> temporary{hmac_sha256(chaining_key, input)};
  const Hmac hmac(temporary);
  ThreeKeys keys;
  keys.first = Secret<32>{hmac.of({kOne})};
  keys.second = Secret<32>{hmac.of({keys.first, kTwo})};
  keys.third = Secret<32>{hmac.of({keys.second, kThree})};
  return keys;
}

}  // namespace pyrsia::crypto

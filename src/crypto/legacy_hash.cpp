#define OPENSSL_SUPPRESS_DEPRECATED  // As hash.cpp: no look-up and no allocation for each call.

#include "crypto/legacy_hash.hpp"

#include "crypto/secret.hpp"

#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>

namespace pyrsia::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;

std::array<std::uint8_t, 20> sha1_of(BytesView pad, std::initializer_list<BytesView> parts) {
  SHA_CTX state;
  SHA1_Init(&state);
  SHA1_Update(&state, pad.data(), pad.size());
  for (const auto part : parts) SHA1_Update(&state, part.data(), part.size());
  std::array<std::uint8_t, 20> hash{};
  SHA1_Final(hash.data(), &state);
  wipe({reinterpret_cast<std::uint8_t*>(&state), sizeof state});
  return hash;
}

}  // namespace

std::array<std::uint8_t, 16> md5(BytesView data) {
  std::array<std::uint8_t, 16> hash{};
  MD5(data.data(), data.size(), hash.data());
  return hash;
}

std::array<std::uint8_t, 20> hmac_sha1(BytesView key, std::initializer_list<BytesView> parts) {
  Secret<kBlockBytes> pad;
  if (key.size() > kBlockBytes) {
    std::ranges::copy(sha1_of(key, {}), pad.begin());
  } else {
    std::ranges::copy(key, pad.begin());
  }
  for (auto& byte : pad) byte ^= 0x36;
  const auto inner = sha1_of(pad, parts);
  for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
  return sha1_of(pad, {inner});
}

}  // namespace pyrsia::crypto

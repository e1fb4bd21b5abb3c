#include "crypto/aead.hpp"

#include "base/hex.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <numeric>

namespace pyrsia::crypto {
namespace {

constexpr std::array<std::uint8_t, 32> kKey{1, 2, 3, 4, 5};
constexpr std::array<std::size_t, 12> kSizes{0,   1,   63,   64,   511,   512,
                                             513, 514, 1350, 4096, 65000, 65519};

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{7});
  return bytes;
}

Bytes sealed(const AeadKey& key, std::uint64_t counter, BytesView aad, BytesView plain) {
  Bytes out(plain.size() + kTagBytes);
  key.seal(counter, aad, plain, out);
  return out;
}

/// The same by the other library, with the nonce as Noise has it.
Bytes expected(std::uint64_t counter, BytesView aad, BytesView plain) {
  std::array<std::uint8_t, 12> nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = std::uint8_t(counter >> (8 * i));
  Bytes out(plain.size() + kTagBytes);
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(),
                                            aad.data(), aad.size(), nullptr, nonce.data(),
                                            kKey.data());
  return out;
}

TEST(Aead, AgreesWithTheOtherLibraryAtEverySize) {
  const AeadKey key(kKey);
  const auto aad = pattern(32);
  for (const auto size : kSizes) {
    const auto plain = pattern(size);
    for (const std::uint64_t counter : {std::uint64_t{0}, std::uint64_t{0x0102030405060708}}) {
      EXPECT_EQ(sealed(key, counter, {}, plain), expected(counter, {}, plain)) << size;
      EXPECT_EQ(sealed(key, counter, aad, plain), expected(counter, aad, plain)) << size;
    }
  }
}

TEST(Aead, OpensWhereTheBytesLie) {
  const AeadKey key(kKey);
  for (const auto size : kSizes) {
    const auto plain = pattern(size);
    auto bytes = sealed(key, 7, {}, plain);
    const auto opened = key.open(7, {}, bytes);
    ASSERT_TRUE(opened) << size;
    EXPECT_EQ(opened->data(), bytes.data());
    EXPECT_TRUE(std::ranges::equal(*opened, plain)) << size;
  }
}

TEST(Aead, GathersParts) {
  const AeadKey key(kKey);
  for (const auto size : kSizes) {
    const auto plain = pattern(size);
    const BytesView view(plain);
    const auto first = std::min<std::size_t>(size, 12);
    const std::array<BytesView, 4> parts{view.first(first), BytesView(),
                                         view.subspan(first, (size - first) / 3),
                                         view.subspan(first + (size - first) / 3)};
    Bytes out(size + kTagBytes);
    key.seal(3, {}, parts, out);
    EXPECT_EQ(out, expected(3, {}, plain)) << size;
  }
}

TEST(Aead, SealsInPlace) {
  const AeadKey key(kKey);
  for (const auto size : kSizes) {
    const auto plain = pattern(size);
    auto bytes = plain;
    bytes.resize(size + kTagBytes);
    key.seal(3, {}, BytesView(bytes).first(size), bytes);
    EXPECT_EQ(bytes, expected(3, {}, plain)) << size;
  }
}

TEST(Aead, RefusesWhatIsNotAuthentic) {
  const AeadKey key(kKey);
  const AeadKey other(std::array<std::uint8_t, 32>{9});
  const Bytes aad{1};
  for (const auto size : kSizes) {
    const auto good = sealed(key, 7, {}, pattern(size));
    for (const auto at : {std::size_t{0}, size / 2, size, size + kTagBytes - 1}) {
      auto bad = good;
      bad[at] ^= 1;
      EXPECT_EQ(key.open(7, {}, bad).error(), Errc::bad_signature) << size << " " << at;
    }
    auto copy = good;
    EXPECT_EQ(key.open(8, {}, copy).error(), Errc::bad_signature);
    copy = good;
    EXPECT_EQ(key.open(7, aad, copy).error(), Errc::bad_signature);
    copy = good;
    EXPECT_EQ(other.open(7, {}, copy).error(), Errc::bad_signature);
    copy = good;
    EXPECT_EQ(key.open(7, {}, std::span(copy).first(size + 15)).error(), Errc::bad_signature);
    copy = good;
    EXPECT_TRUE(key.open(7, {}, copy));  // A failure leaves nothing behind for the next.
  }
}

}  // namespace
}  // namespace pyrsia::crypto

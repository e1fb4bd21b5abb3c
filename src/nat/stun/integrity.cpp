#include "nat/stun/integrity.hpp"

#include "crypto/hash.hpp"
#include "crypto/legacy_hash.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>
#include <string>

namespace pyrsia::stun {
namespace {

std::string joined(std::string_view a, std::string_view b) {
  return std::string(a) + ":" + std::string(b);
}

/// The first four bytes, the length counting an attribute of `size` at the end.
std::array<std::uint8_t, 4> start_of(BytesView before, std::size_t size) {
  std::array<std::uint8_t, 4> start{before[0], before[1], 0, 0};
  write_u16(&start[2], static_cast<std::uint16_t>(before.size() - kHeaderBytes + 4 + size));
  return start;
}

/// In a time that does not depend on where they differ.
bool equal(BytesView a, BytesView b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0 && a.size() == b.size();
}

std::array<std::uint8_t, 32> sha256_over(BytesView before, std::size_t size, BytesView key) {
  const auto start = start_of(before, size);
  return crypto::hmac_sha256(key, {start, before.subspan(4)});
}

}  // namespace

Bytes long_term_key(PasswordAlgorithm algorithm, std::string_view username, std::string_view realm,
                    std::string_view password) {
  const auto text = joined(joined(username, realm), password);
  if (algorithm == PasswordAlgorithm::sha256) {
    const auto hash = crypto::sha256(as_bytes(text));
    return {hash.begin(), hash.end()};
  }
  const auto hash = crypto::md5(as_bytes(text));
  return {hash.begin(), hash.end()};
}

std::array<std::uint8_t, 32> userhash(std::string_view username, std::string_view realm) {
  return crypto::sha256(as_bytes(joined(username, realm)));
}

std::array<std::uint8_t, 20> integrity_of(BytesView before, BytesView key) {
  const auto start = start_of(before, 20);
  return crypto::hmac_sha1(key, {start, before.subspan(4)});
}

std::array<std::uint8_t, 32> integrity_sha256_of(BytesView before, BytesView key) {
  return sha256_over(before, 32, key);
}

Result<> check_integrity(const Message& message, BytesView key) {
  std::optional<std::pair<BytesView, std::size_t>> sha1;
  auto walk = message.attributes();
  for (Attribute attribute; walk.next(attribute);) {
    const auto before = message.bytes().first(kHeaderBytes + walk.offset());
    if (attribute.type == AttributeType::message_integrity_sha256) {
      const auto size = attribute.value.size();
      if (size < 16 || size > 32 || size % 4 != 0) return Errc::malformed;
      const auto expected = sha256_over(before, size, key);
      if (!equal(BytesView(expected).first(size), attribute.value)) return Errc::bad_signature;
      return ok;
    }
    if (attribute.type == AttributeType::message_integrity) sha1 = {attribute.value, before.size()};
  }
  if (!sha1) return Errc::not_found;
  if (sha1->first.size() != 20) return Errc::malformed;
  const auto expected = integrity_of(message.bytes().first(sha1->second), key);
  if (!equal(expected, sha1->first)) return Errc::bad_signature;
  return ok;
}

}  // namespace pyrsia::stun

#include "nat/stun/message.hpp"

#include "base/crc32.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>

namespace pyrsia::stun {
namespace {

constexpr std::size_t kAttributeHeaderBytes = 4;
constexpr std::size_t kFingerprintBytes = 8;

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t(3);
}

/// The class is two bits in the middle of the method's twelve. Spec: RFC 8489, 5.
Header read_header(const std::uint8_t* at) {
  const unsigned type = read_u16(at);
  Header header;
  header.message_class = static_cast<MessageClass>((type >> 7 & 2U) | (type >> 4 & 1U));
  header.method =
      static_cast<Method>((type & 0x000fU) | (type >> 1 & 0x0070U) | (type >> 2 & 0x0f80U));
  header.cookie = read_u32(at + 4);
  std::copy_n(at + 8, header.transaction.size(), header.transaction.begin());
  return header;
}

bool attributes_fit(BytesView body) {
  while (!body.empty()) {
    if (body.size() < kAttributeHeaderBytes) return false;
    const auto size = kAttributeHeaderBytes + padded(read_u16(&body[2]));
    if (size > body.size()) return false;
    body = body.subspan(size);
  }
  return true;
}

}  // namespace

bool looks_like_stun(BytesView datagram) {
  return datagram.size() >= kHeaderBytes && datagram[0] < 0x40 &&
         read_u32(&datagram[4]) == kMagicCookie &&
         read_u16(&datagram[2]) == datagram.size() - kHeaderBytes && datagram.size() % 4 == 0;
}

Result<std::size_t> message_size(std::span<const std::uint8_t, kHeaderBytes> header) {
  const std::size_t length = read_u16(&header[2]);
  if (header[0] >= 0x40 || read_u32(&header[4]) != kMagicCookie || length % 4 != 0)
    return Errc::malformed;
  if (length > kMaxMessageBytes - kHeaderBytes) return Errc::too_large;
  return kHeaderBytes + length;
}

Result<Message> Message::parse(BytesView bytes) {
  if (bytes.size() > kMaxMessageBytes) return Errc::too_large;
  if (bytes.size() < kHeaderBytes || bytes[0] >= 0x40 || bytes.size() % 4 != 0 ||
      read_u16(&bytes[2]) != bytes.size() - kHeaderBytes) {
    return Errc::malformed;
  }
  const Message message(read_header(bytes.data()), bytes);
  if (!attributes_fit(message.body())) return Errc::malformed;
  if (message.header_.is_legacy()) return message;
  auto walk = message.attributes();
  for (Attribute attribute; walk.next(attribute);) {
    if (attribute.type != AttributeType::fingerprint) continue;
    const auto before = kHeaderBytes + walk.offset();
    if (attribute.value.size() != 4 || before + kFingerprintBytes != bytes.size())
      return Errc::malformed;
    if (read_u32(attribute.value.data()) != fingerprint_of(bytes.first(before)))
      return Errc::bad_signature;
  }
  return message;
}

bool Message::Walk::next(Attribute& attribute) {
  while (!rest_.empty()) {
    const auto type = static_cast<AttributeType>(read_u16(rest_.data()));
    const std::size_t size = read_u16(&rest_[2]);
    offset_ = next_offset_;
    next_offset_ += kAttributeHeaderBytes + padded(size);
    attribute = {type, rest_.subspan(kAttributeHeaderBytes, size)};
    rest_ = rest_.subspan(kAttributeHeaderBytes + padded(size));
    const bool is_fingerprint = type == AttributeType::fingerprint;
    const bool is_sha256 = type == AttributeType::message_integrity_sha256;
    if (saw_sha256_ && !is_fingerprint) continue;
    if (saw_integrity_ && !is_fingerprint && !is_sha256) continue;
    saw_sha256_ = saw_sha256_ || is_sha256;
    saw_integrity_ = saw_integrity_ || type == AttributeType::message_integrity;
    return true;
  }
  return false;
}

std::optional<BytesView> Message::find(AttributeType type) const {
  auto walk = attributes();
  for (Attribute attribute; walk.next(attribute);)
    if (attribute.type == type) return attribute.value;
  return std::nullopt;
}

std::uint32_t fingerprint_of(BytesView bytes) {
  return crc32(bytes) ^ 0x5354554e;  // "STUN", so that other protocols' CRCs never pass for it.
}

}  // namespace pyrsia::stun

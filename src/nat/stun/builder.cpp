#include "nat/stun/builder.hpp"

#include "nat/stun/integrity.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::stun {
namespace {

constexpr std::size_t kMaxWrittenCharacters = 127;  // RFC 8489, 14.8 to 14.10 and 14.14.

/// Of UTF-8, where each character begins with a byte of its own kind.
bool is_short(std::string_view text) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(text, begins)) <= kMaxWrittenCharacters &&
         text.size() <= 4 * kMaxWrittenCharacters;
}

bool may_hold(AttributeType type, std::string_view text) {
  switch (type) {
    using enum AttributeType;
    case username: return text.size() <= kMaxUsernameBytes;
    case alternate_domain: return text.size() <= kMaxDomainBytes;
    default: return is_short(text);
  }
}

}  // namespace

std::uint16_t type_field(MessageClass message_class, Method method) {
  const unsigned m = static_cast<unsigned>(method);
  const unsigned c = static_cast<unsigned>(message_class);
  return static_cast<std::uint16_t>((m & 0x000f) | (m & 0x0070) << 1 | (m & 0x0f80) << 2 |
                                    (c & 1) << 4 | (c & 2) << 7);
}

Builder::Builder(std::span<std::uint8_t> out, const Header& header) : out_(out), header_(header) {
  assert(out.size() >= kHeaderBytes);
  write_u16(&out_[0], type_field(header.message_class, header.method));
  write_u16(&out_[2], 0);
  write_u32(&out_[4], header.cookie);
  std::ranges::copy(header.transaction, out_.begin() + 8);
}

std::span<std::uint8_t> Builder::grow(AttributeType type, std::size_t size) {
  const auto whole = 4 + ((size + 3) & ~std::size_t(3));
  if (is_full_ || whole > out_.size() - size_ || size_ + whole > kMaxMessageBytes) {
    is_full_ = true;
    return {};
  }
  const auto attribute = out_.subspan(size_, whole);
  write_u16(&attribute[0], static_cast<std::uint16_t>(type));
  write_u16(&attribute[2], static_cast<std::uint16_t>(size));
  for (auto& byte : attribute.subspan(4 + size)) byte = 0;
  size_ += whole;
  write_u16(&out_[2], static_cast<std::uint16_t>(size_ - kHeaderBytes));
  return attribute.subspan(4, size);
}

void Builder::add(AttributeType type, BytesView value) {
  const auto room = grow(type, value.size());
  if (!room.empty()) std::ranges::copy(value, room.begin());
}

void Builder::add(AttributeType type, std::string_view text) {
  is_full_ = is_full_ || !may_hold(type, text);
  add(type, as_bytes(text));
}

void Builder::add_u32(AttributeType type, std::uint32_t number) {
  const auto room = grow(type, 4);
  if (!room.empty()) write_u32(room.data(), number);
}

void Builder::add_address(AttributeType type, const Endpoint& endpoint) {
  const auto ip = endpoint.ip.bytes();
  const auto room = grow(type, 4 + ip.size());
  if (room.empty()) return;
  room[0] = 0;
  room[1] = endpoint.ip.is_v4() ? 1 : 2;
  write_u16(&room[2], endpoint.port);
  std::ranges::copy(ip, room.begin() + 4);
}

void Builder::add_xor_address(AttributeType type, const Endpoint& endpoint) {
  const auto begin = size_;
  add_address(type, endpoint);
  if (is_full_) return;
  // The address is masked by the cookie and the transaction id, which stand at 4 to 19.
  const auto value = out_.subspan(begin + 4, size_ - begin - 4);
  for (std::size_t i = 0; i < 2; ++i) value[2 + i] ^= out_[4 + i];
  for (std::size_t i = 4; i < value.size(); ++i) value[i] ^= out_[i];
}

void Builder::add_error_code(int code, std::string_view reason) {
  is_full_ = is_full_ || !is_short(reason);
  const auto room = grow(AttributeType::error_code, 4 + reason.size());
  if (room.empty()) return;
  write_u16(&room[0], 0);
  room[2] = static_cast<std::uint8_t>(code / 100);
  room[3] = static_cast<std::uint8_t>(code % 100);
  std::ranges::copy(as_bytes(reason), room.begin() + 4);
}

void Builder::add_unknown_attributes(std::span<const std::uint16_t> types) {
  const auto room = grow(AttributeType::unknown_attributes, 2 * types.size());
  for (std::size_t i = 0; 2 * i < room.size(); ++i) write_u16(&room[2 * i], types[i]);
}

void Builder::add_change_request(const ChangeRequest& change) {
  add_u32(AttributeType::change_request, (change.ip ? 4U : 0U) | (change.port ? 2U : 0U));
}

void Builder::add_response_port(std::uint16_t port) {
  add_u32(AttributeType::response_port, std::uint32_t(port) << 16);
}

void Builder::add_password_algorithm(PasswordAlgorithm algorithm) {
  add_u32(AttributeType::password_algorithm, std::uint32_t(static_cast<std::uint16_t>(algorithm))
                                                 << 16);
}

void Builder::add_password_algorithms(std::span<const PasswordAlgorithm> algorithms) {
  const auto room = grow(AttributeType::password_algorithms, 4 * algorithms.size());
  for (std::size_t i = 0; 4 * i < room.size(); ++i)
    write_u32(&room[4 * i], std::uint32_t(static_cast<std::uint16_t>(algorithms[i])) << 16);
}

void Builder::add_padding(std::size_t size) {
  std::ranges::fill(grow(AttributeType::padding, size), std::uint8_t(0));
}

void Builder::add_integrity(BytesView key) {
  const auto before = size_;
  const auto room = grow(AttributeType::message_integrity, 20);
  if (!room.empty()) std::ranges::copy(integrity_of(out_.first(before), key), room.begin());
}

void Builder::add_integrity_sha256(BytesView key) {
  const auto before = size_;
  const auto room = grow(AttributeType::message_integrity_sha256, 32);
  if (!room.empty()) std::ranges::copy(integrity_sha256_of(out_.first(before), key), room.begin());
}

void Builder::add_fingerprint() {
  const auto before = size_;
  const auto room = grow(AttributeType::fingerprint, 4);
  if (!room.empty()) write_u32(room.data(), fingerprint_of(out_.first(before)));
}

Result<BytesView> Builder::finish() const {
  if (is_full_) return Errc::too_large;
  return bytes();
}

}  // namespace pyrsia::stun

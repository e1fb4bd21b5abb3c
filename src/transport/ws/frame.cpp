#include "transport/ws/frame.hpp"

#include <cassert>

namespace pyrsia::transport::ws {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kText = 0x1;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

std::size_t length_bytes(std::uint8_t field) {
  return field == kLength16 ? 2 : field == kLength64 ? 8 : 0;
}

Result<Opcode> opcode_of(std::uint8_t number) {
  if (number == kText) return Errc::not_supported;
  const auto opcode = static_cast<Opcode>(number);
  switch (opcode) {
    case Opcode::continuation:
    case Opcode::binary:
    case Opcode::close:
    case Opcode::ping:
    case Opcode::pong: return opcode;
  }
  return Errc::protocol_violation;
}

}  // namespace

std::size_t header_size(BytesView bytes) {
  if (bytes.size() < 2) return 2;
  const bool is_masked = (bytes[1] & kMasked) != 0;
  return 2 + length_bytes(bytes[1] & ~kMasked) + (is_masked ? sizeof(Mask) : 0);
}

Result<FrameHeader> decode_header(BytesView bytes, Role sender) {
  assert(bytes.size() == header_size(bytes));
  FrameHeader header;
  header.is_final = (bytes[0] & kFinal) != 0;
  if ((bytes[0] & kReserved) != 0) return Errc::protocol_violation;
  PYRSIA_TRY(header.opcode, opcode_of(bytes[0] & 0x0f));
  const bool is_masked = (bytes[1] & kMasked) != 0;
  if (is_masked != (sender == Role::initiator)) return Errc::protocol_violation;
  const std::uint8_t field = bytes[1] & ~kMasked;
  const auto more = length_bytes(field);
  header.length = field;
  if (more > 0) {
    header.length = 0;
    for (const auto byte : bytes.subspan(2, more)) header.length = header.length << 8 | byte;
    const bool is_shortest = header.length >= (more == 2 ? std::uint64_t(kLength16) : 0x10000);
    if (!is_shortest || header.length >> 63 != 0) return Errc::protocol_violation;
  }
  if (is_control(header.opcode) && (!header.is_final || header.length > kMaxControlBytes)) {
    return Errc::protocol_violation;
  }
  if (is_masked) {
    Mask mask;
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = bytes[2 + more + i];
    header.mask = mask;
  }
  return header;
}

Bytes encode_header(const FrameHeader& header) {
  Bytes out;
  out.reserve(kMaxHeaderBytes);
  out.push_back(std::uint8_t((header.is_final ? kFinal : 0) | std::uint8_t(header.opcode)));
  const std::uint8_t masked = header.mask ? kMasked : 0;
  int more = 0;
  if (header.length < kLength16) {
    out.push_back(std::uint8_t(masked | header.length));
  } else {
    more = header.length < 0x10000 ? 2 : 8;
    out.push_back(std::uint8_t(masked | (more == 2 ? kLength16 : kLength64)));
  }
  for (int shift = 8 * (more - 1); shift >= 0; shift -= 8)
    out.push_back(std::uint8_t(header.length >> shift));
  if (header.mask) out.insert(out.end(), header.mask->begin(), header.mask->end());
  return out;
}

void apply_mask(std::span<std::uint8_t> payload, const Mask& mask, std::uint64_t offset) {
  Mask turned;
  for (std::size_t i = 0; i < mask.size(); ++i) turned[i] = mask[(offset + i) % mask.size()];
  std::size_t i = 0;
  for (; i + mask.size() <= payload.size(); i += mask.size())  // Four at once, for the compiler.
    for (std::size_t k = 0; k < mask.size(); ++k) payload[i + k] ^= turned[k];
  for (; i < payload.size(); ++i) payload[i] ^= turned[i % mask.size()];
}

}  // namespace pyrsia::transport::ws

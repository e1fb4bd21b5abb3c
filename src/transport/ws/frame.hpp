/// The frames of WebSocket, of which only the headers are of interest: a libp2p connection is a
/// stream of bytes, whatever frames they come in. Spec: RFC 6455, 5.
#pragma once

#include "base/role.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace pyrsia::transport::ws {

enum class Opcode : std::uint8_t {
  continuation = 0x0,
  binary = 0x2,
  close = 0x8,
  ping = 0x9,
  pong = 0xa,
};
constexpr bool is_control(Opcode opcode) {
  return opcode >= Opcode::close;
}

/// Largest payload of a control frame (RFC 6455, 5.5).
inline constexpr std::size_t kMaxControlBytes = 125;
/// Largest payload that we send in one frame. Our limit: rust and js refuse far larger ones only.
inline constexpr std::size_t kMaxPayloadBytes = 64 * 1024;
inline constexpr std::size_t kMaxHeaderBytes = 14;

using Mask = std::array<std::uint8_t, 4>;

struct FrameHeader {
  bool is_final = true;
  Opcode opcode = Opcode::binary;
  std::uint64_t length = 0;  ///< Of the payload, in bytes.
  std::optional<Mask> mask;

  bool operator==(const FrameHeader&) const = default;
};

/// Bytes of the header that `bytes` begin with, as far as they tell: at least one more than there
/// are, or the whole.
std::size_t header_size(BytesView bytes);

/// Reads a whole header of a frame from a peer whose role is `sender`: an initiator masks, a
/// responder does not. Errors: `Errc::protocol_violation` (mask, reserved bits or opcodes, lengths
/// not in their shortest form, control frames in pieces or too long), `Errc::not_supported` (text).
Result<FrameHeader> decode_header(BytesView bytes, Role sender);
Bytes encode_header(const FrameHeader& header);

/// Puts on, or takes off, the mask of a payload from its byte number `offset` on.
void apply_mask(std::span<std::uint8_t> payload, const Mask& mask, std::uint64_t offset);

}  // namespace pyrsia::transport::ws

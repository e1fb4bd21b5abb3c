/// The header of a yamux frame. Spec: hashicorp/yamux spec.md, "Framing".
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <array>
#include <cstdint>

namespace pyrsia::mux::yamux {

inline constexpr std::size_t kHeaderBytes = 12;

/// Values are those of the wire.
enum class Type : std::uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

inline constexpr std::uint16_t kSyn = 1;
inline constexpr std::uint16_t kAck = 2;
inline constexpr std::uint16_t kFin = 4;
inline constexpr std::uint16_t kRst = 8;

struct Header {
  Type type = Type::data;
  std::uint16_t flags = 0;
  std::uint32_t stream_id = 0;
  /// Data: bytes that follow. WindowUpdate: bytes granted, or with kRst why. Ping: opaque.
  /// GoAway: why.
  std::uint32_t length = 0;

  bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
  bool operator==(const Header&) const = default;
};

using HeaderBytes = std::array<std::uint8_t, kHeaderBytes>;

HeaderBytes encode(const Header& header);
/// Errors: `Errc::malformed` (version or type). Unknown flags are kept.
Result<Header> decode(std::span<const std::uint8_t, kHeaderBytes> bytes);

}  // namespace pyrsia::mux::yamux

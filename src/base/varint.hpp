/// Unsigned varints: LEB128 in its shortest form, at most 9 bytes (63 bits).
/// Not the varints of protobuf messages, which may be longer, nor those of QUIC.
/// Spec: multiformats/unsigned-varint.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace pyrsia {

inline constexpr std::size_t kMaxVarintBytes = 9;
inline constexpr std::uint64_t kMaxVarint = (std::uint64_t{1} << 63) - 1;

struct Varint {
  std::uint64_t value = 0;
  BytesView rest;  ///< What follows it.
};

/// Reads the varint that `bytes` begins with. Errors: `Errc::malformed` if it is cut off, longer
/// than 9 bytes or not in its shortest form.
inline Result<Varint> read_varint(BytesView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < kMaxVarintBytes; ++i) {
    value |= std::uint64_t{bytes[i] & 0x7fU} << (7 * i);
    if (bytes[i] >= 0x80) continue;
    if (bytes[i] == 0 && i > 0) return Errc::malformed;
    return Varint{value, bytes.subspan(i + 1)};
  }
  return Errc::malformed;
}

/// Appends `value`, at most kMaxVarint, to Bytes or a std::string.
template <class Container>
void append_varint(Container& out, std::uint64_t value) {
  assert(value <= kMaxVarint);
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<typename Container::value_type>((value & 0x7f) | 0x80));
  }
  out.push_back(static_cast<typename Container::value_type>(value));
}

}  // namespace pyrsia

#pragma once

#include <pyrsia/bytes.hpp>

#include <concepts>
#include <cstdint>

namespace pyrsia::portmap {

/// Appends `value`, the highest byte first.
template <std::unsigned_integral T>
void put(Bytes& out, T value) {
  for (int shift = (int(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// The number at `at`, the highest byte first. `bytes` has that many.
template <std::unsigned_integral T>
T take(BytesView bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | bytes[at + i];
  return static_cast<T>(value);
}

}  // namespace pyrsia::portmap

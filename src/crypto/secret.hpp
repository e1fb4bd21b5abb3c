#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pyrsia::crypto {

/// Overwrites `bytes` with zeros in a way that no compiler leaves out.
void wipe(std::span<std::uint8_t> bytes);

/// Random numbers from the kernel: for keys, which no simulation may choose.
void fill_random(std::span<std::uint8_t> out);

/// Secret bytes that are wiped when they go.
template <std::size_t N>
struct Secret : std::array<std::uint8_t, N> {
  Secret() : std::array<std::uint8_t, N>{} {}
  explicit Secret(std::span<const std::uint8_t, N> bytes) {
    for (std::size_t i = 0; i < N; ++i) (*this)[i] = bytes[i];
  }
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { wipe(*this); }
};

}  // namespace pyrsia::crypto

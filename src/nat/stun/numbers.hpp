/// Numbers in network byte order.
#pragma once

#include <cstdint>

namespace pyrsia::stun {

inline std::uint16_t read_u16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}

inline std::uint32_t read_u32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(read_u16(at)) << 16 | read_u16(at + 2);
}

inline void write_u16(std::uint8_t* at, std::uint16_t number) {
  at[0] = static_cast<std::uint8_t>(number >> 8);
  at[1] = static_cast<std::uint8_t>(number);
}

inline void write_u32(std::uint8_t* at, std::uint32_t number) {
  write_u16(at, static_cast<std::uint16_t>(number >> 16));
  write_u16(at + 2, static_cast<std::uint16_t>(number));
}

}  // namespace pyrsia::stun

#pragma once

#include <pyrsia/bytes.hpp>

#include <cstdint>

namespace pyrsia {

/// The CRC-32 of Ethernet and zip. Spec: ISO 3309, as RFC 8489, 14.7 names it.
std::uint32_t crc32(BytesView bytes);

}  // namespace pyrsia

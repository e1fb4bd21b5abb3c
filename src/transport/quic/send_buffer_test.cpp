#include "transport/quic/send_buffer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace pyrsia::transport::quic {
namespace {

std::uint8_t number_at(std::size_t position) {
  return static_cast<std::uint8_t>(position * 31 + (position >> 8));
}

/// What would be sent now, at most `count` bytes.
Bytes unsent(const SendBuffer& buffer, std::size_t count) {
  std::array<ngtcp2_vec, 3> room;
  Bytes out;
  for (const auto& piece : buffer.pieces(room))
    out.insert(out.end(), piece.base, piece.base + std::min(piece.len, count - out.size()));
  return out;
}

TEST(SendBuffer, BytesStayInOrderHoweverTheyComeAndGo) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SendBuffer buffer;
    std::size_t written = 0;
    std::size_t sent = 0;
    std::size_t acknowledged = 0;
    for (int i = 0; i < 2000; ++i) {
      const auto most = std::size_t(1) << (random() % 17);
      switch (random() % 3) {
        case 0: {
          Bytes bytes(random() % most);
          for (auto& byte : bytes) byte = number_at(written++);
          buffer.append(bytes);
          break;
        }
        case 1: {
          const auto bytes = unsent(buffer, most);
          for (std::size_t k = 0; k < bytes.size(); ++k) ASSERT_EQ(bytes[k], number_at(sent + k));
          buffer.sent(bytes.size());
          sent += bytes.size();
          break;
        }
        default: {
          const auto count = random() % (sent - acknowledged + 1);
          buffer.acknowledged(count);
          acknowledged += count;
        }
      }
      ASSERT_EQ(buffer.size(), written - acknowledged);
      ASSERT_EQ(buffer.unsent(), written - sent);
    }
  }
}

}  // namespace
}  // namespace pyrsia::transport::quic

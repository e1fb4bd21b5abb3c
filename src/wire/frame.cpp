#include "wire/frame.hpp"

namespace pyrsia::wire {

Task<Bytes> read_frame(Stream& stream, std::size_t max_bytes) {
  std::size_t length = 0;
  for (int shift = 0;; shift += 7) {
    std::uint8_t byte = 0;
    const std::span<std::uint8_t> out(&byte, 1);
    PYRSIA_CO_TRY(co_await read_exactly(stream, out));
    length |= std::size_t(byte & 0x7f) << shift;
    if (length > max_bytes || shift > 21) co_return Errc::too_large;
    if (byte == 0 && shift > 0) co_return Errc::malformed;
    if (byte < 0x80) break;
  }
  Bytes message(length);
  PYRSIA_CO_TRY(co_await read_exactly(stream, message));
  co_return message;
}

Task<> write_frame(Stream& stream, BytesView message) {
  Bytes frame;
  for (auto rest = message.size();; rest >>= 7) {
    frame.push_back(std::uint8_t(rest < 0x80 ? rest : (rest & 0x7f) | 0x80));
    if (rest < 0x80) break;
  }
  frame.insert(frame.end(), message.begin(), message.end());
  co_return co_await stream.write_all(frame);
}

}  // namespace pyrsia::wire

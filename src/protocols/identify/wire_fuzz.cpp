#include "protocols/identify/wire.hpp"

#include <cstdlib>

// Any input: decode() must not crash, and what it accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::identify;
  const auto message = decode({data, size});
  if (!message) return 0;
  // Several messages may merge into one that is over the limit of one.
  const auto fitted = fit(*message, kMaxMessageBytes);
  auto bytes = encode(fitted);
  if (bytes.size() > kMaxMessageBytes) return 0;
  pyrsia::Bytes frame;
  for (auto rest = bytes.size();; rest >>= 7) {
    frame.push_back(std::uint8_t(rest < 0x80 ? rest : (rest & 0x7f) | 0x80));
    if (rest < 0x80) break;
  }
  frame.insert(frame.end(), bytes.begin(), bytes.end());
  if (decode(frame) != fitted) std::abort();
  if (!is_whole(frame)) std::abort();
  return 0;
}

#include "transport/quic/frames.hpp"

#include <cstdlib>

// Each one found is one more step to the end, and an end stays one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  BytesView payload(data, size);
  auto left = payload.size();
  while (transport::quic::next_stop_sending(payload)) {
    if (payload.size() + 3 > left) std::abort();
    left = payload.size();
  }
  if (!payload.empty() || transport::quic::next_stop_sending(payload)) std::abort();
  return 0;
}

#include "secure/noise/wire.hpp"

#include <cstdlib>

// Any input: decode() must not crash, and what it accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::secure::noise;
  const auto payload = decode({data, size});
  if (payload && *decode(encode(*payload)) != *payload) std::abort();
  return 0;
}

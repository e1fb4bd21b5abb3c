#include "protocols/nat_facts/wire.hpp"

#include <cstdlib>

// Any input: the decoder may not crash, and what it accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::nat_facts;
  const auto report = decode({data, size});
  if (!report) return 0;
  const auto bytes = encode(*report);
  const auto again = decode(bytes);
  if (!again || encode(*again) != bytes) std::abort();
  return 0;
}

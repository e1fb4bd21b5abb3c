#include "protocols/autonat/wire.hpp"

#include <cstdlib>

// Any input: neither decoder may crash, and what one accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::autonat;
  if (auto dial = decode_dial({data, size})) {
    dial->unparsable_count = 0;  // Not encoded.
    if (decode_dial(encode(*dial)) != *dial) std::abort();
    const auto fitted = fitting_dial(dial->peer, dial->addresses);
    if (fitted.addresses.size() > kMaxAddresses) std::abort();
    if (encode(fitted).size() > kMaxSentBytes) std::abort();
  }
  if (const auto response = decode_response({data, size})) {
    if (decode_response(encode(*response)) != *response) std::abort();
  }
  return 0;
}

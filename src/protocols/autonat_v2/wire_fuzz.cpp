#include "protocols/autonat_v2/wire.hpp"

#include <cstdlib>

// Any input: no decoder may crash, and what one accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::autonat_v2;
  const pyrsia::BytesView bytes(data, size);
  if (const auto message = decode(bytes)) {
    if (decode(encode(*message)) != *message) std::abort();
    if (const auto* request = std::get_if<DialRequest>(&*message)) {
      if (request->addresses.size() > kMaxConsideredAddresses) std::abort();
      const auto fitted = fitting_request(request->addresses, request->nonce);
      if (fitted.addresses.size() > kMaxAddresses) std::abort();
      if (encode(fitted).size() > kMaxSentBytes) std::abort();
    }
  }
  if (const auto nonce = decode_dial_back(bytes)) {
    if (decode_dial_back(encode_dial_back(*nonce)) != *nonce) std::abort();
  }
  return 0;
}

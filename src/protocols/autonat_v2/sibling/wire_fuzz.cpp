#include "protocols/autonat_v2/sibling/wire.hpp"

#include <cstdlib>

// Any input: neither decoder may crash, and what one accepts must survive a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::autonat_v2::sibling;
  if (const auto request = decode_request({data, size})) {
    if (decode_request(encode(*request)) != *request) std::abort();
  }
  if (const auto response = decode_response({data, size})) {
    if (decode_response(encode(*response)) != *response) std::abort();
  }
  return 0;
}

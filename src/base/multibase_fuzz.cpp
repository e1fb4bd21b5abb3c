#include "base/base58.hpp"
#include "base/multibase.hpp"
#include "base/varint.hpp"

#include <algorithm>
#include <cstdlib>

// Any input: nothing crashes, and what is accepted means the same after a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const BytesView input(data, size);
  if (const auto bytes = from_multibase(as_text(input))) {
    if (from_multibase("b" + to_base32(*bytes)).value() != *bytes) std::abort();
    if (from_multibase("u" + to_base64url(*bytes)).value() != *bytes) std::abort();
  }
  if (const auto bytes = from_base58(as_text(input))) {
    if (to_base58(*bytes) != as_text(input)) std::abort();
  }
  if (const auto varint = read_varint(input)) {
    Bytes again;
    append_varint(again, varint->value);
    if (again.size() + varint->rest.size() != size) std::abort();
    if (!std::equal(again.begin(), again.end(), data)) std::abort();
  }
  return 0;
}

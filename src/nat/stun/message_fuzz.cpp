#include "nat/stun/attributes.hpp"
#include "nat/stun/builder.hpp"
#include "nat/stun/integrity.hpp"
#include "nat/stun/message.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

// Any input: nothing may crash, and what is accepted survives being written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  using namespace pyrsia::stun;
  const auto message = Message::parse({data, size});
  if (!message) return 0;
  (void)mapped_address(*message);
  (void)check_integrity(*message, as_bytes("key"));
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  Builder builder(out, message->header());
  auto walk = message->attributes();
  for (Attribute attribute; walk.next(attribute);) {
    (void)name(attribute.type);
    (void)decode_error_code(attribute.value);
    (void)decode_unknown_attributes(attribute.value);
    (void)decode_change_request(attribute.value);
    (void)decode_response_port(attribute.value);
    (void)decode_password_algorithms(attribute.value);
    (void)decode_alternate_domain(attribute.value);
    (void)decode_userhash(attribute.value);
    if (const auto text = decode_text(attribute.type, attribute.value))
      (void)security_features(*text);
    if (const auto address = decode_xor_address(attribute.value, message->header());
        address && !message->header().is_legacy()) {
      std::array<std::uint8_t, 64> one{};
      Builder again(one, message->header());
      again.add_xor_address(attribute.type, *address);
      if (decode_xor_address(again.bytes().subspan(kHeaderBytes + 4), message->header()) !=
          *address)
        std::abort();
    }
    if (attribute.type == AttributeType::fingerprint && !message->header().is_legacy()) {
      builder.add_fingerprint();
    } else {
      builder.add(attribute.type, attribute.value);
    }
  }
  const auto written = builder.finish();
  if (!written) std::abort();
  const auto again = Message::parse(*written);
  if (!again || again->header() != message->header()) std::abort();
  auto first = message->attributes();
  auto second = again->attributes();
  for (Attribute a, b; first.next(a);) {
    if (!second.next(b) || a.type != b.type) std::abort();
    if (a.type != AttributeType::fingerprint && !std::ranges::equal(a.value, b.value)) std::abort();
  }
  return 0;
}

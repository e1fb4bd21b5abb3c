#include "nat/stun/lend.hpp"

#include <array>
#include <cstdlib>

// Any input: nothing may crash, and what is accepted survives being written and read again, with a
// signature that is right then.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  using namespace pyrsia::stun;
  static const auto key = KeyPair::from_seed(std::array<std::uint8_t, 32>{});
  static const auto signer = key.peer_id();
  const auto message = Message::parse({data, size});
  if (!message) return 0;
  const auto lend = decode_lend(*message);
  if (!lend) return 0;
  (void)check_lend_signature(*message, lend->from);
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto written = encode_lend(*lend, key, out);
  if (!written) std::abort();
  const auto again = Message::parse(*written);
  if (!again || decode_lend(*again) != *lend) std::abort();
  if (!check_lend_signature(*again, signer)) std::abort();
  return 0;
}

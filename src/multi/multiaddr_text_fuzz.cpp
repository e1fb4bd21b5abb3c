#include <pyrsia/multiaddr.hpp>

#include <cstdlib>

// Any text: what is accepted has one canonical text and one binary form.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const auto address = Multiaddr::parse(as_text({data, size}));
  if (!address) return 0;
  const auto binary = Multiaddr::from_bytes(address->bytes());
  if (!binary || *binary != *address) std::abort();
  const auto text = Multiaddr::parse(address->to_string());
  if (!text || *text != *address) std::abort();
  return 0;
}

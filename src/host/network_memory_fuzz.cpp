#include "host/network_memory.hpp"

#include <cstdlib>

using namespace pyrsia;

/// What can be read can be written, and reads the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = host::read_networks(as_text({data, size}));
  if (!read) return 0;
  if (read->size() > host::kMaxNetworks) std::abort();
  const auto text = host::write_networks(*read);
  if (text.size() > host::kMaxMemoryBytes) return 0;  // Escapes may need more room.
  const auto again = host::read_networks(text);
  if (!again || *again != *read) std::abort();
  return 0;
}

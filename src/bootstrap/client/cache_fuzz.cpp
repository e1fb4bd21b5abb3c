#include "bootstrap/client/cache.hpp"

#include <cstdlib>

using namespace pyrsia;

/// What can be read can be written, and reads the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = bootstrap::read_cache(as_text({data, size}));
  if (!read) return 0;
  for (const auto& entry : *read) {
    // Written anew, a document may pass its limit: ids may be longer as base58.
    if (bootstrap::write_status(entry.document).size() > bootstrap::kMaxStatusBytes) return 0;
  }
  const auto again = bootstrap::read_cache(bootstrap::write_cache(*read));
  if (!again || *again != *read) std::abort();
  return 0;
}

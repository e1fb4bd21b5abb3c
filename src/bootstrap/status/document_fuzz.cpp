#include "bootstrap/status/document.hpp"

#include <cstdlib>

using namespace pyrsia;

/// What can be read can be written, and reads the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> problems;
  const auto read = bootstrap::read_status(as_text({data, size}), problems);
  if (!read) {
    if (problems.empty()) std::abort();
    return 0;
  }
  if (read->peer_addrs.empty() || read->peer_addrs.size() > bootstrap::kMaxStatusEntries) {
    std::abort();
  }
  const auto text = bootstrap::write_status(*read);
  if (text.size() > bootstrap::kMaxStatusBytes) return 0;  // Ids may be longer as base58.
  std::vector<std::string> none;
  const auto again = bootstrap::read_status(text, none);
  if (!again || *again != *read || !none.empty()) std::abort();
  return 0;
}

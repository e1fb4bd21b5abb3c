// A recorded line that is read is written the same, and no recording harms the state machine.
#include "host/reachability_record.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia::host;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto read = from_line(text)) {
    const auto again = from_line(to_line(*read));
    if (!again || to_line(*again) != to_line(*read)) std::abort();
  }
  const std::string whole = std::string(kRecordHeader) + "\n" + std::string(text);
  std::size_t bad_line = 0;
  (void)replay(whole, &bad_line);
  return 0;
}

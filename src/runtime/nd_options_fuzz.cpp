#include "runtime/nd_options.hpp"

#include <cstdlib>

// Any input: no message may crash the reader, and what it reads keeps to RFC 8781.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  Nat64Prefixes prefixes;
  TimePoint now{};
  for (const auto& one : read_nat64({data, size})) {
    if (one.bits > 96 || one.bits % 8 != 0 || !one.prefix.is_v6()) std::abort();
    prefixes.take(one, now);
    now += std::chrono::seconds(1);
  }
  if (prefixes.good(now).size() > Nat64Prefixes::kMaxPrefixes) std::abort();
  if (const auto one = read_pref64({data, size}); one && size != 16) std::abort();
  return 0;
}

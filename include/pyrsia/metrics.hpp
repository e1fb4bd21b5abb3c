#pragma once

#include <cstdint>

namespace pyrsia {

/// A number that only grows. A module keeps its counters in one struct Metrics, which the
/// host lists for export; labels are separate counters, never peer ids or addresses.
class Counter {
 public:
  void add(std::uint64_t by = 1) { value_ += by; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

}  // namespace pyrsia

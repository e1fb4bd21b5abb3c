#pragma once

#include <pyrsia/time.hpp>

#include <optional>

namespace pyrsia::host {

/// Notices that the machine was asleep: the calendar has gone on by more than the clock that stands
/// still meanwhile. A calendar that was set forward looks the same, and does as little harm.
class WakeDetector {
 public:
  /// Our limit: no clock that is being corrected runs away by so much between two looks.
  static constexpr Duration kJump = std::chrono::seconds(5);

  /// To be called every second or so. True once for each jump forward.
  bool look(TimePoint now, WallTime wall_now) {
    const auto offset = wall_now.time_since_epoch() - now.time_since_epoch();
    const auto before = offset_.value_or(offset);
    offset_ = offset;
    return offset - before > kJump;
  }

 private:
  std::optional<WallTime::duration> offset_;
};

}  // namespace pyrsia::host

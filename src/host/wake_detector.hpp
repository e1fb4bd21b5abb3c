#pragma once

#include <pyrsia/time.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace pyrsia::host {

/// Notices that the machine was asleep, from what its clocks count as sleep; and that it may have
/// been a virtual machine that was paused, of which only the calendar tells, once it has been set
/// right. A calendar that was set forward for another reason looks the same, and does little harm.
class WakeDetector {
 public:
  /// Our limit: so much the first look may have missed, held up between two clocks.
  static constexpr Duration kShortestSleep = std::chrono::milliseconds(100);
  /// Our limit: no calendar that is being corrected runs away by so much between two looks.
  static constexpr Duration kJump = std::chrono::seconds(5);

  /// To be called every second or so, with what Env says. Why all is to be looked at again, once
  /// for each time; mostly empty.
  std::string_view look(TimePoint now, WallTime wall_now, Duration slept) {
    const auto slept_before = slept_.value_or(slept);
    slept_ = std::max(slept_before, slept);
    const auto offset = wall_now.time_since_epoch() - now.time_since_epoch() - *slept_;
    const auto offset_before = offset_.value_or(offset);
    offset_ = offset;
    if (slept - slept_before > kShortestSleep) return "this machine was asleep";
    if (offset - offset_before > kJump) return "the calendar has jumped ahead";
    return {};
  }

 private:
  std::optional<Duration> slept_;  ///< The most that was seen.
  std::optional<Duration> offset_;
};

}  // namespace pyrsia::host

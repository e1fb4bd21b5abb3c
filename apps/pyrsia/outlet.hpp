#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyrsia::app {

/// Lines for a descriptor whose reader may be slow, or asleep: a program that serves others must
/// not wait for it. What the descriptor does not take is kept, up to 64 KiB; of what comes then
/// whole lines are lost, and counted.
class Outlet {
 public:
  explicit Outlet(int descriptor);
  /// Waits half a second at most for what is kept.
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  /// A line of up to 4 KiB goes out in one system call, so that lines of several processes do not
  /// mix. False: it is lost.
  bool line(std::string_view text);
  /// Text that is worth something now only, such as a spinner. False: no room, it is lost.
  bool sketch(std::string_view text);
  /// Writes what is kept, as far as there is room.
  void flush() { flush(0); }
  /// All has been taken.
  bool is_empty() const { return kept_.empty(); }
  /// Lines lost since the last forget_lost().
  std::size_t lost_count() const { return lost_count_; }
  void forget_lost() { lost_count_ = 0; }

 private:
  /// False: no more room within the time.
  bool flush(int patience_ms);

  int descriptor_;
  bool is_own_ = false;  ///< Opened by us, so that a write never waits.
  std::string kept_;
  std::size_t lost_count_ = 0;
};

}  // namespace pyrsia::app

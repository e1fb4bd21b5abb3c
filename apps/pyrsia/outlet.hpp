#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyrsia::app {

/// Lines for a descriptor whose reader may be slow, or asleep: a program that serves others must
/// not wait for it. What the descriptor does not take is kept, up to 64 KiB; of what comes then
/// whole lines are lost.
class Outlet {
 public:
  explicit Outlet(int descriptor) : descriptor_(descriptor) {}
  /// Waits a second at most for what is kept.
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  /// A line of up to 4 KiB goes out in one system call, so that lines of several processes do not
  /// mix. Returns the number of lines lost just before this one.
  std::size_t line(std::string_view text);
  /// Text that is worth something now only, such as a spinner. False: no room, it is lost.
  bool sketch(std::string_view text);
  /// Writes what is kept, as far as there is room.
  void flush() { flush(0); }

 private:
  void flush(int patience_ms);

  int descriptor_;
  std::string kept_;
  std::size_t lost_count_ = 0;
};

}  // namespace pyrsia::app

#pragma once

#include "outlet.hpp"

#include <pyrsia/log.hpp>

#include <unistd.h>

#include <string>
#include <string_view>

namespace pyrsia::app {

/// Where the program speaks to a person: data on stdout, everything else on stderr. On a terminal
/// the last line of stderr says what is going on right now, with a spinner; elsewhere each new
/// such text is a plain line.
class Terminal {
 public:
  /// With `is_quiet` only log lines and data are written.
  Terminal(bool is_quiet, LogLevel level);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// A line of data, on stdout.
  void data(std::string_view line);
  /// A line that stays, on stderr.
  void note(std::string_view line);
  /// What is going on now. `is_busy`: the spinner turns.
  void status(std::string_view text, bool is_busy);
  /// Turns the spinner, every 100 ms, and goes on with lines that waited for their reader.
  void tick();
  bool is_terminal() const { return is_terminal_; }
  /// Writes log lines at or above the level. The terminal must outlive the sink.
  LogSink sink();

 private:
  void log(LogLevel level, std::string_view component, std::string_view message,
           std::span<const LogField> fields);
  void report_losses();
  void erase();
  void draw();

  Outlet out_{STDOUT_FILENO};
  Outlet err_{STDERR_FILENO};
  bool is_quiet_;
  LogLevel level_;
  bool is_terminal_;
  bool has_color_;
  std::string status_;
  bool is_busy_ = false;
  bool is_drawn_ = false;
  unsigned frame_ = 0;
};

}  // namespace pyrsia::app

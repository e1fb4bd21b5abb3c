#include "terminal.hpp"

#include "report.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace pyrsia::app {
namespace {

constexpr std::array kFrames{"|", "/", "-", "\\"};

struct FieldText {
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(std::string_view text) const {
    std::string out;
    for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    return out.find(' ') == out.npos ? out : '"' + out + '"';
  }
  std::string operator()(Duration duration) const {
    return fmt::format("{}ms",
                       std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
  }
  std::string operator()(const Error& error) const { return error.message(); }
};

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 8) return size.ws_col;
  return 80;
}

}  // namespace

Terminal::Terminal(bool is_quiet, LogLevel level)
    : is_quiet_(is_quiet), level_(level), is_terminal_(!is_quiet && ::isatty(STDERR_FILENO) == 1) {
  const char* const no_color = std::getenv("NO_COLOR");
  has_color_ = is_terminal_ && (no_color == nullptr || *no_color == '\0');
}

Terminal::~Terminal() {
  erase();
}

void Terminal::data(std::string_view line) {
  erase();
  out_.line(line);
  report_losses();
  draw();
}

void Terminal::note(std::string_view line) {
  erase();
  err_.line(line);
  report_losses();
  draw();
}

/// Once somebody reads again.
void Terminal::report_losses() {
  const auto report = [this](Outlet& outlet, std::string_view name) {
    if (outlet.lost_count() == 0 || !outlet.is_empty()) return;
    const auto text = fmt::format("pyrsia: WARNING: {} lines of {} were lost: nobody read it",
                                  outlet.lost_count(), name);
    if (err_.line(text)) outlet.forget_lost();
  };
  report(out_, "stdout");
  report(err_, "stderr");
}

void Terminal::status(std::string_view text, bool is_busy) {
  if (is_quiet_) return;
  is_busy_ = is_busy;
  if (text == status_) return;
  status_ = text;
  if (is_terminal_) {
    erase();
    draw();
  } else {
    err_.line(status_);
    report_losses();
  }
}

void Terminal::tick() {
  out_.flush();
  err_.flush();
  report_losses();
  if (is_drawn_ && !is_busy_) return;  // What had no room is drawn again.
  ++frame_;
  erase();
  draw();
}

void Terminal::erase() {
  if (!is_drawn_) return;
  constexpr std::string_view kErase = "\r\x1b[2K";
  is_drawn_ = false;
  err_.sketch(kErase);
}

void Terminal::draw() {
  if (!is_terminal_ || status_.empty()) return;
  const std::string mark = is_busy_ ? kFrames[frame_ % kFrames.size()] : "*";
  const auto text = status_.substr(0, terminal_width() - 3);
  const auto line =
      has_color_ ? fmt::format("\x1b[36m{}\x1b[0m {}", mark, text) : mark + " " + text;
  is_drawn_ = err_.sketch(line);
}

LogSink Terminal::sink() {
  return [this](LogLevel level, std::string_view component, std::string_view message,
                std::span<const LogField> fields) { log(level, component, message, fields); };
}

void Terminal::log(LogLevel level, std::string_view component, std::string_view message,
                   std::span<const LogField> fields) {
  if (level < level_) return;
  constexpr std::array kNames{"DEBUG", "INFO", "WARNING", "ERROR"};
  const WallTime now = std::chrono::system_clock::now();
  auto line = fmt::format("{} {} {}: {}", time_text(now), kNames[static_cast<std::size_t>(level)],
                          component, message);
  for (const auto& field : fields) {
    line += fmt::format(" {}={}", field.key, std::visit(FieldText(), field.value));
  }
  note(line);
}

}  // namespace pyrsia::app

#include "outlet.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>

namespace pyrsia::app {
namespace {

constexpr std::size_t kMaxKept = 64 * 1024;
constexpr std::chrono::milliseconds kLastPatience{500};

/// The same terminal or pipe in a description of our own: not to wait must be set for us alone, not
/// for the shell that we share it with. A file would begin at its start again, and never waits.
int open_again(int descriptor) {
  struct stat status{};
  const bool may_wait =
      ::isatty(descriptor) == 1 || (::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode));
  if (!may_wait) return -1;
  const auto path = fmt::format("/proc/self/fd/{}", descriptor);
  return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool has_room(int descriptor, int patience_ms) {
  pollfd polled{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&polled, 1, patience_ms) > 0;
}

}  // namespace

Outlet::Outlet(int descriptor) : descriptor_(descriptor) {
  const int again = open_again(descriptor);
  is_own_ = again >= 0;
  if (is_own_) descriptor_ = again;
}

Outlet::~Outlet() {
  const auto deadline = std::chrono::steady_clock::now() + kLastPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !flush(static_cast<int>(left.count())) || kept_.empty()) break;
  }
  if (is_own_) ::close(descriptor_);
}

bool Outlet::line(std::string_view text) {
  flush();
  // A line longer than all that may be kept still goes to a reader who is there.
  if (!kept_.empty() && kept_.size() + text.size() >= kMaxKept) {
    ++lost_count_;
    return false;
  }
  kept_.append(text).push_back('\n');
  flush();
  return true;
}

bool Outlet::sketch(std::string_view text) {
  flush();
  return kept_.empty() && has_room(descriptor_, 0) &&
         ::write(descriptor_, text.data(), text.size()) > 0;
}

bool Outlet::flush(int patience_ms) {
  while (!kept_.empty()) {
    if (!has_room(descriptor_, patience_ms)) return false;
    // Where we cannot but wait: a pipe or socket with room takes as much at once (pipe(7)).
    const auto count = std::min<std::size_t>(kept_.size(), PIPE_BUF);
    const auto written = ::write(descriptor_, kept_.data(), count);
    if (written > 0) {
      kept_.erase(0, static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      return patience_ms > 0;  // It may have room for less than what is atomic; see poll() again.
    } else if (errno != EINTR) {
      kept_.clear();  // Nobody reads any more, or the disk is full: nothing is left to tell.
    }
    if (patience_ms > 0) return true;  // Whoever waits looks at the clock between.
  }
  return true;
}

}  // namespace pyrsia::app

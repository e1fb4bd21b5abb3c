#include "outlet.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

namespace pyrsia::app {
namespace {

constexpr std::size_t kMaxKept = 64 * 1024;
constexpr int kLastPatienceMs = 1000;

/// A pipe that has room takes PIPE_BUF bytes without waiting (pipe(7)); a larger write may wait.
bool has_room(int descriptor, int patience_ms) {
  pollfd polled{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&polled, 1, patience_ms) > 0;
}

}  // namespace

Outlet::~Outlet() {
  flush(kLastPatienceMs);
}

std::size_t Outlet::line(std::string_view text) {
  flush();
  // A line longer than all that may be kept still goes to a reader who is there.
  if (!kept_.empty() && kept_.size() + text.size() >= kMaxKept) {
    ++lost_count_;
    return 0;
  }
  kept_.append(text).push_back('\n');
  flush();
  return std::exchange(lost_count_, 0);
}

bool Outlet::sketch(std::string_view text) {
  flush();
  return kept_.empty() && has_room(descriptor_, 0) &&
         ::write(descriptor_, text.data(), text.size()) > 0;
}

void Outlet::flush(int patience_ms) {
  while (!kept_.empty() && has_room(descriptor_, patience_ms)) {
    const auto count = std::min<std::size_t>(kept_.size(), PIPE_BUF);
    const auto written = ::write(descriptor_, kept_.data(), count);
    if (written > 0) {
      kept_.erase(0, static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      kept_.clear();  // Nobody reads any more, or the disk is full: nothing is left to tell.
    }
  }
}

}  // namespace pyrsia::app

#include "runtime/reactor.hpp"

#include "runtime/kernel_error.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

namespace pyrsia {
namespace {

int epoll_wait_for(int epoll, std::span<epoll_event> out, std::optional<Duration> limit) {
  const auto size = static_cast<int>(out.size());
  if (!limit) return ::epoll_wait(epoll, out.data(), size, -1);
  if (*limit <= Duration(0)) return ::epoll_wait(epoll, out.data(), size, 0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*limit);
  timespec time{};
  time.tv_sec = seconds.count();
  time.tv_nsec = (*limit - seconds).count();
  const int count = ::epoll_pwait2(epoll, out.data(), size, &time, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  // A sandbox that does not know the call: whole milliseconds, rounded up so as not to spin.
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(*limit).count();
  return ::epoll_wait(epoll, out.data(), size, static_cast<int>(std::min(millis, 3'600'000L)));
}

}  // namespace

Reactor::Reactor()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  if (epoll_ < 0 || wake_descriptor_ < 0 ||
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_descriptor_, &event) != 0)
    std::abort();
}

Reactor::~Reactor() {
  ::close(wake_descriptor_);
  ::close(epoll_);
}

Result<> Reactor::add(int descriptor, std::uint32_t events, Watch& watch) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watch;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) return kernel_error(errno);
  return ok;
}

void Reactor::change(int descriptor, std::uint32_t events, Watch& watch) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watch;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void Reactor::remove(int descriptor, const Watch& watch) noexcept {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  for (auto& event : untold_)
    if (event.data.ptr == &watch) event.data.ptr = nullptr;
}

void Reactor::wait(std::optional<Duration> limit) {
  const int count = epoll_wait_for(epoll_, events_, limit);
  if (count <= 0) return;  // Time is up, or a signal came.
  untold_ = std::span(events_).first(static_cast<std::size_t>(count));
  while (!untold_.empty()) {
    const auto event = untold_.front();
    untold_ = untold_.subspan(1);
    // No watch: it was removed by one told before, or this is the wake descriptor, whose edge is
    // all that is needed.
    if (event.data.ptr) static_cast<Watch*>(event.data.ptr)->ready(event.events);
  }
}

void Reactor::wake(int wake_descriptor) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_descriptor, &one, sizeof one);
}

}  // namespace pyrsia

#pragma once

#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace pyrsia {

/// Something that is told when a file descriptor is ready. Registered with a Reactor.
class Watch {
 public:
  virtual ~Watch() = default;
  /// `events` are epoll's. May add, change and remove any watch, itself included.
  virtual void ready(std::uint32_t events) = 0;
};

/// The one place that waits for the kernel. A descriptor is registered once for its whole life
/// (edge-triggered, where its owner asks for it), so waiting for it costs no system call.
class Reactor {
 public:
  Reactor();  ///< Aborts the program if the kernel gives no epoll: nothing can work without.
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  /// `events` are epoll's. `watch` must outlive its registration.
  /// Errors: `Errc::limit_reached`, `Errc::network_failed`.
  Result<> add(int descriptor, std::uint32_t events, Watch& watch);
  void change(int descriptor, std::uint32_t events, Watch& watch) noexcept;
  /// Before `descriptor` is closed.
  void remove(int descriptor, const Watch& watch) noexcept;

  /// Waits for at most `limit` (none: until something happens) and tells whom it concerns.
  void wait(std::optional<Duration> limit);
  /// Ends a wait(), or the next one if none is under way. From any thread, or a signal handler.
  void wake() noexcept { wake(wake_descriptor_); }
  static void wake(int wake_descriptor) noexcept;
  int wake_descriptor() const { return wake_descriptor_; }

 private:
  int epoll_;
  int wake_descriptor_;
  std::array<epoll_event, 256> events_{};
  std::span<epoll_event> untold_;  ///< Of events_: those of the running wait().
};

}  // namespace pyrsia

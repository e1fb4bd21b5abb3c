#pragma once

#include "runtime/event.hpp"
#include "runtime/reactor.hpp"

#include <pyrsia/task.hpp>

namespace pyrsia {

/// A non-blocking file descriptor that tasks can wait for; owns it. The caller tries its system
/// call first, and says by blocked_…() that it would have blocked: only then waiting waits.
class Descriptor final : public Watch {
 public:
  Descriptor(Reactor& reactor, const asio::any_io_executor& executor)
      : reactor_(reactor), readable_(executor), writable_(executor) {}
  ~Descriptor() override { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// Takes over `number`; closes it on failure. Errors: as Reactor::add().
  Result<> open(int number);
  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }
  /// Pending waits end with `Errc::closed`.
  void close() noexcept;

  void read_blocked() { may_read_ = false; }
  void write_blocked() { may_write_ = false; }
  bool may_read() const { return may_read_; }
  /// True once the peer has ended its side or the connection failed: no more edges will come.
  bool is_ended() const { return is_ended_; }

  /// Ends when a read may not block. Errors: `Errc::closed`, `Errc::cancelled`.
  Task<> wait_readable() { return wait(may_read_, readable_); }
  /// Errors: `Errc::closed`, `Errc::cancelled`.
  Task<> wait_writable() { return wait(may_write_, writable_); }
  /// Lets others run, now and then, where calls never block. Errors: as wait_readable().
  Task<> share_the_thread();
  bool is_greedy() { return ++calls_without_waiting_ >= kMaxCallsWithoutWaiting; }

 private:
  /// Our limit: a peer that always has data for us must not starve the others.
  static constexpr std::uint8_t kMaxCallsWithoutWaiting = 32;

  void ready(std::uint32_t events) override;
  Task<> wait(const bool& may_go, Event& event);

  Reactor& reactor_;
  int number_ = -1;
  std::uint8_t calls_without_waiting_ = 0;
  bool may_read_ = true;
  bool may_write_ = true;
  bool is_ended_ = false;
  Event readable_;
  Event writable_;
};

}  // namespace pyrsia

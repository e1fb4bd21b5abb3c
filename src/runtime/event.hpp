#pragma once

#include <pyrsia/task.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

namespace pyrsia {

/// Wakes one waiting task, at its next turn. Must outlive the wait.
class Event {
 public:
  explicit Event(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void notify();
  /// Ends at the next notify(), or at once if one was missed. One task at a time.
  /// Errors: `Errc::cancelled`.
  Task<> wait();
  bool has_waiter() const { return static_cast<bool>(waiter_); }

 private:
  void complete(bool woken);

  asio::any_io_executor executor_;
  asio::any_completion_handler<void(bool)> waiter_;
  asio::cancellation_slot slot_;
  bool notified_ = false;
};

}  // namespace pyrsia

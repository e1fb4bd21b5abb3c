#pragma once

#include "runtime/env.hpp"

#include <boost/asio/cancellation_signal.hpp>

namespace pyrsia {

/// Runs one task that others may stop: the answer to a client that may leave meanwhile.
class Interruptible {
 public:
  Interruptible() = default;
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  /// Ends when `work` has ended. Errors: `Errc::cancelled` after interrupt(), and those of `work`.
  Task<> run(Env& env, Task<> work);
  /// Cancels what runs; what has not begun ends as soon as it waits.
  void interrupt();

 private:
  asio::cancellation_signal signal_;
};

}  // namespace pyrsia

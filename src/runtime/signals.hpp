#pragma once

#include "runtime/reactor.hpp"

#include <functional>

namespace pyrsia {

/// Catches SIGINT and SIGTERM while it lives; at most one lives at a time. The signals' former
/// handlers come back with its end.
class Signals {
 public:
  Signals(Reactor& reactor, std::function<void(int signal)> on_signal);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Calls `on_signal` for each signal that came since the last call.
  void deliver();

 private:
  std::function<void(int signal)> on_signal_;
};

}  // namespace pyrsia

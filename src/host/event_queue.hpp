#pragma once

#include "runtime/env.hpp"
#include "runtime/event.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/metrics.hpp>

#include <deque>

namespace pyrsia {

/// What happened, in order, for one reader. Bounded: a slow reader loses the oldest.
class EventQueue {
 public:
  static constexpr std::size_t kMaxEvents = 1024;

  explicit EventQueue(Env& env) : changed_(env.executor()) {}

  void push(HostEvent event);
  /// Ends the reader's wait, and every later one once the queue is empty.
  void close();
  /// Errors: `Errc::closed`.
  Task<HostEvent> next();
  std::uint64_t dropped_count() const { return dropped_.value(); }

 private:
  std::deque<HostEvent> events_;
  bool is_closed_ = false;
  Counter dropped_;
  Event changed_;
};

}  // namespace pyrsia

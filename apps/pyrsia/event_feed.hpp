#pragma once

#include "http/message.hpp"
#include "runtime/env.hpp"
#include "runtime/event.hpp"

#include <pyrsia/metrics.hpp>

#include <deque>
#include <list>
#include <string>

namespace pyrsia::app {

/// Sends events to all that have /events open, as server-sent events. Owned by the program; the
/// HTTP server must have stopped before it goes. Spec: WHATWG HTML, "Server-sent events".
class EventFeed {
 public:
  static constexpr std::size_t kMaxSubscribers = 64;
  /// Of one subscriber; one that reads more slowly loses the oldest and is told how many.
  static constexpr std::size_t kMaxWaiting = 256;
  static constexpr Duration kKeepAlive = std::chrono::seconds(15);

  explicit EventFeed(Env& env) : env_(env) {}

  /// `json` is one line.
  void send(const std::string& name, const std::string& json);
  bool is_full() const { return subscribers_.size() >= kMaxSubscribers; }
  std::size_t subscriber_count() const { return subscribers_.size(); }
  /// Events that slow subscribers have missed.
  std::uint64_t lost_count() const { return lost_.value(); }
  /// Writes what is sent from now on, until the client has left.
  Task<> serve(http::Writer& writer);

 private:
  struct Subscriber {
    explicit Subscriber(Env& env) : changed(env.executor()) {}

    std::deque<std::string> waiting;
    std::size_t lost = 0;
    Event changed;
  };

  Env& env_;
  Counter lost_;
  std::list<Subscriber*> subscribers_;  ///< Each is in its own serve().
};

}  // namespace pyrsia::app

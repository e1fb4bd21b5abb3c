#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <map>
#include <utility>

namespace pyrsia::swarm {

/// Which addresses of which peers failed lately and should rest: 5 s + 1 s × n² after the n-th
/// failure more, at most 5 min. Takes `now`: no I/O.
class DialBackoff {
 public:
  static constexpr Duration kFirst = std::chrono::seconds(5);
  static constexpr Duration kLongest = std::chrono::minutes(5);
  /// Pairs of peer and address. Our limit: at it, those that rest no more are forgotten, then the
  /// one that rests shortest.
  static constexpr std::size_t kMaxEntries = 10'000;

  void failed(const PeerId& peer, const Multiaddr& address, TimePoint now);
  void succeeded(const PeerId& peer, const Multiaddr& address);
  bool is_resting(const PeerId& peer, const Multiaddr& address, TimePoint now) const;
  /// Forgets failures so old that they say nothing any more.
  void expire(TimePoint now);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    int failures = 0;
    TimePoint rests_until{};
  };

  std::map<std::pair<PeerId, Multiaddr>, Entry> entries_;
};

}  // namespace pyrsia::swarm

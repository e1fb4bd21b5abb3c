#pragma once

#include "base/ip_group.hpp"

#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pyrsia::swarm {

/// At most so many requests within any time of this length.
struct ThrottleWindow {
  Duration length = std::chrono::seconds(1);
  std::size_t all_peers = 30;
  std::size_t one_peer = 3;
  /// Of an IPv4 address or an IPv6 /56: ids cost nothing, addresses do. More than one_peer, as
  /// several nodes may share an address.
  std::size_t one_ip = 6;
};

/// Counts accepted requests in one or more windows, by peer and by IP. Plain state: takes `now`.
/// Its memory is bounded by the windows' `all_peers`.
class Throttle {
 public:
  enum class Verdict { allowed, too_many, too_many_of_peer, too_many_of_ip };

  explicit Throttle(const std::vector<ThrottleWindow>& windows);

  /// Whether one more of `peer`, seen at `ip`, is within all windows.
  Verdict check(const PeerId& peer, const IpAddress& ip, TimePoint now);
  /// Counts one of `peer`, seen at `ip`.
  void add(const PeerId& peer, const IpAddress& ip, TimePoint now);

 private:
  struct Entry {
    TimePoint at;
    PeerId peer;
    IpAddress ip;
  };
  struct Window {
    ThrottleWindow limits;
    std::deque<Entry> entries;
    std::unordered_map<PeerId, std::size_t> counts;
    IpGroupCounts ip_counts;
  };
  static void expire(Window& window, TimePoint now);

  std::vector<Window> windows_;
};

}  // namespace pyrsia::swarm

#pragma once

#include "swarm/connection.hpp"

#include <pyrsia/time.hpp>

#include <cstddef>
#include <string>
#include <unordered_map>

namespace pyrsia::identify {

/// How many tokens a bucket holds and how fast it fills.
struct Rate {
  double per_second;
  double burst;
};

/// go's figures: pushes are rare among the honest.
struct PushLimits {
  Rate all{2000, 3000};
  Rate ipv4_24{0.2, 10};
  Rate ipv6_56{0.2, 10};
  Rate ipv6_48{0.5, 20};
  Rate relayed_peer{0.2, 10};  ///< Who has no address of its own is counted by its id.
  std::size_t buckets = 4096;  ///< At this number those long unused are forgotten.
};

/// Decides which pushes are worth reading. Plain state: takes `now`.
class PushLimiter {
 public:
  explicit PushLimiter(const PushLimits& limits) : limits_(limits), all_{limits.all.burst, {}} {}

  /// Loopback peers are exempt.
  bool allow(const swarm::ConnectionInfo& connection, TimePoint now);
  std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens;
    TimePoint filled_at;
  };
  static bool take(Bucket& bucket, const Rate& rate, TimePoint now);
  bool take(const std::string& key, const Rate& rate, TimePoint now);
  void make_room(TimePoint now);

  PushLimits limits_;
  Bucket all_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace pyrsia::identify

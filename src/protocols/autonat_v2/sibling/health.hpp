/// Whether the failure of a sibling's dial says anything about who was dialed.
/// Spec: docs/adr/0039-the-failure-of-one-sibling.md.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <optional>
#include <set>

namespace pyrsia::autonat_v2::sibling {

/// What is known of a sibling's way out, over TCP or over UDP. A plain state machine.
class Health {
 public:
  static constexpr Duration kLifetime = std::chrono::minutes(1);
  /// Of so many clients that we reached it has reached none: that it still reaches us proves no
  /// more. Where one of three such clients is behind an address-restricted NAT, not the sibling
  /// but chance would be to blame once in 700 times.
  static constexpr std::size_t kMostMissed = 6;

  void has_reached_client(TimePoint now) {
    proven_at_ = now;
    missed_.clear();
  }
  void has_reached_us(TimePoint now) { proven_at_ = now; }
  /// It has not reached this client, and we have.
  void has_missed(const IpAddress& client) {
    if (missed_.size() < kMostMissed) missed_.insert(client.unmapped());
  }

  bool is_suspect() const { return missed_.size() >= kMostMissed; }
  /// It has reached somebody a moment ago.
  bool is_proven(TimePoint now) const { return proven_at_ && now - *proven_at_ < kLifetime; }

 private:
  std::optional<TimePoint> proven_at_;
  std::set<IpAddress> missed_;
};

}  // namespace pyrsia::autonat_v2::sibling

#pragma once

#include "nat/stun/lend.hpp"
#include "nat/stun/source_limiter.hpp"

#include <pyrsia/metrics.hpp>

#include <map>
#include <optional>
#include <vector>

namespace pyrsia::stun {

struct LenderConfig {
  /// Lends that one member may ask for; more are dropped before their signature is looked at.
  SourceLimit limit{200, 400, 64};
  /// The latest expiry that is believed, and what clocks may differ.
  Duration max_lifetime = std::chrono::seconds(30);
  /// Nonces that are remembered until they expire; when full, lends are refused.
  std::size_t max_nonces = 16384;
};

struct LenderMetrics {
  Counter accepted;
  Counter stranger;  ///< Not from a member's address, not by its id, or not to us.
  Counter limited;
  Counter forged;    ///< The signature is wrong.
  Counter expired;   ///< Or from too far in the future.
  Counter replayed;  ///< Or the table of nonces is full.
  Counter malformed;
};

/// Decides which lends of other members are carried out. Plain state; the caller sends.
class Lender {
 public:
  struct Member {
    IpAddress ip;
    PeerId peer;
  };

  Lender(PeerId self, std::vector<Member> members, const LenderConfig& config,
         std::uint64_t secret);

  /// What is to be sent for `message`, which came from `from`; nothing: it is refused.
  std::optional<Lend> take(const Message& message, const IpAddress& from, TimePoint now,
                           WallTime wall_now);
  const LenderMetrics& metrics() const { return metrics_; }

 private:
  bool remember(const TransactionId& nonce, WallTime expires_at, WallTime now);

  PeerId self_;
  std::vector<Member> members_;
  LenderConfig config_;
  SourceLimiter limiter_;
  std::map<TransactionId, WallTime> nonces_;
  LenderMetrics metrics_;
};

}  // namespace pyrsia::stun

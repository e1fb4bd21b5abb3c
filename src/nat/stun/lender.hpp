#pragma once

#include "multi/address_class.hpp"
#include "nat/stun/lend.hpp"
#include "nat/stun/source_limiter.hpp"

#include <pyrsia/metrics.hpp>

#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace pyrsia::stun {

struct LenderConfig {
  /// Lends that one member may ask for; more are dropped before their signature is looked at.
  SourceLimit limit{200, 400, 64};
  /// The latest expiry that is believed, and what clocks may differ.
  Duration max_lifetime = std::chrono::seconds(30);
  /// Nonces of one member that are remembered until they expire; when full, its lends are refused.
  /// More than `limit` lets it use in max_lifetime.
  std::size_t max_nonces = 8192;
};

struct LenderMetrics {
  Counter accepted;
  Counter stranger;  ///< Not from a member's address, not by its id, or not to us.
  Counter limited;
  Counter forged;       ///< The signature is wrong.
  Counter expired;      ///< Or from too far in the future.
  Counter replayed;     ///< Or the table of nonces is full.
  Counter unreachable;  ///< For a client that the asker cannot have seen: see is_reachable().
  Counter no_port;      ///< From a port that we do not listen at.
  Counter malformed;
};

/// Why a lend is not carried out.
enum class Refusal {
  not_a_member,
  wrong_peer,
  limited,
  forged,
  expired,
  replayed,
  unreachable,
  no_port,
  malformed
};
inline constexpr std::size_t kRefusalCount = 9;

/// "its signature is wrong".
std::string_view in_words(Refusal refusal);

/// Decides which lends of other members are carried out. Plain state; the caller sends.
class Lender {
 public:
  struct Member {
    IpAddress ip;
    PeerId peer;
  };
  /// What is to be sent, or why nothing is.
  struct Decision {
    std::optional<Lend> lend;
    Refusal refusal = Refusal::malformed;
  };

  Lender(PeerId self, std::vector<Member> members, const LenderConfig& config,
         std::uint64_t secret);

  /// Of `message`, which came from `from`.
  Decision take(const Message& message, const IpAddress& from, TimePoint now, WallTime wall_now);
  /// Counts one that the caller cannot carry out.
  Decision refuse(Refusal refusal);
  const LenderMetrics& metrics() const { return metrics_; }

 private:
  using Nonces = std::map<TransactionId, WallTime>;

  Counter& counter_of(Refusal refusal);
  bool remember(const LendMessage& message, WallTime now);

  PeerId self_;
  std::vector<Member> members_;
  LenderConfig config_;
  AddressClassifier classifier_;
  SourceLimiter limiter_;
  std::map<PeerId, Nonces> nonces_;  ///< Of members only.
  LenderMetrics metrics_;
};

}  // namespace pyrsia::stun

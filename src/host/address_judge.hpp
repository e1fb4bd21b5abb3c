#pragma once

#include <pyrsia/nat.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace pyrsia::host {

/// One witness's word on one address.
struct Vote {
  enum class Kind {
    reached,                ///< From an IP that we had never contacted: nobody is kept out.
    reached_from_known_ip,  ///< From one that we had: whoever we contact is let in, at least.
    not_reached,
  };
  Kind kind = Kind::not_reached;
  std::string voter;    ///< The network that was asked, or that came. One vote a network: the last.
  std::string witness;  ///< The network that the packets came from: the voter's, or a sibling's.
  bool is_stranger = false;  ///< Nobody asked for it.
  TimePoint at;
};

struct AddressJudgeConfig {
  Duration lifetime = std::chrono::minutes(15);  ///< Of a vote.
  std::size_t max_votes = 16;
  std::size_t confirming_networks = 3;  ///< So many agree: confirmed.
  std::size_t lone_contrary_votes = 4;  ///< To turn it where fewer networks can be asked.
  std::size_t any_contrary_votes = 6;   ///< To turn it without any network that had reached it.
};

/// The verdict on one address from the votes on it. A success is proof, for the time being, as only
/// a connection that reached us can carry our nonce; a failure may be the network's or the
/// server's. So one success from a fresh IP makes an address reachable, and failures make it
/// unreachable only together: of two networks where nothing was known, of three where it was
/// reachable, one of which had reached it before. A success from an IP that we had contacted counts
/// in full only if `trusts_known_ip` says that nothing better can be had. Who stayed alone with a
/// success against three is not heard again until another network agrees, or its lifetime is over:
/// one that lies shall not turn the verdict again and again. A plain state machine.
class AddressJudge {
 public:
  explicit AddressJudge(AddressJudgeConfig config = {}) : config_(config) {}

  /// Of `asked_networks` different networks votes can be had. True if the verdict has changed.
  bool add(Vote vote, bool trusts_known_ip, std::size_t asked_networks);
  /// Lets go of old votes. True if the verdict has changed.
  bool expire(TimePoint now);
  /// A single failure, which nobody has gainsaid for `patience`, is all there is to be had. True if
  /// the verdict has changed.
  bool ripen(TimePoint now, Duration patience);

  Reachability status() const { return status_; }
  /// So many networks agree with the status, less those that have disagreed since; 0 to 3.
  int confidence() const;
  bool is_confirmed() const { return confidence() >= int(config_.confirming_networks); }
  /// Others were let in only where we had contacted them, so far.
  bool is_known_ip_only() const;
  /// Known IPs were let in and strangers kept out: RFC 4787, address-dependent filtering.
  bool is_address_restricted() const;
  bool is_empty() const { return votes_.empty(); }
  /// Newest last.
  const std::vector<Vote>& votes() const { return votes_; }
  /// Distinct networks whose last word is `kind`.
  std::size_t networks(Vote::Kind kind) const;
  /// Distinct networks that say otherwise, since the last that agreed.
  std::size_t contrary_networks() const { return contrary_.size(); }
  /// This network's last word was that it reached us, or it was before it said otherwise.
  bool has_reached_us(const std::string& voter) const;

 private:
  void make_room(bool for_stranger);
  bool set(Reachability status);
  bool must_turn(std::size_t asked_networks) const;
  std::size_t agreeing_networks() const;
  std::size_t agreeing_servers() const;

  AddressJudgeConfig config_;
  Reachability status_ = Reachability::unknown;
  std::vector<Vote> votes_;                      ///< One a voter.
  std::map<std::string, std::size_t> contrary_;  ///< Votes of each network, while reachable.
  std::size_t turned_ = 0;                       ///< Of these networks, who had reached it before.
  bool rests_on_trust_ = false;                  ///< Reachable only by known IPs.
  std::map<std::string, TimePoint> outvoted_;    ///< Since when. At most as many as votes.
};

}  // namespace pyrsia::host

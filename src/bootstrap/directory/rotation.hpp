/// Which boot servers are in the list, and in which order the next client gets them.
/// Spec: docs/protocols.md, "Boot cluster".
#pragma once

#include "bootstrap/status/document.hpp"
#include "multi/address_class.hpp"

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pyrsia::bootstrap {

/// Most addresses that one member may put into the list. Our limit.
inline constexpr std::size_t kMaxMemberAddresses = 16;

/// One boot server's part of the list.
struct MemberEntries {
  PeerId peer;
  std::vector<Multiaddr> addresses;  ///< Each ends in /p2p/<peer>.

  bool operator==(const MemberEntries&) const = default;
};

/// What `document`, which a member answered, says of the member itself: only entries of its own
/// `peer_id` count, so that members that list each other cannot keep a dead one alive; of them
/// those that others can use, at most kMaxMemberAddresses. Errors: `Errc::malformed` (no
/// `peer_id`), `Errc::unavailable` (no usable address); `why` says so in words.
Result<MemberEntries> own_entries(const StatusDocument& document,
                                  const AddressClassifier& classifier, std::string& why);

/// Health of the other members, a plain state machine: a member is in the list after one good
/// answer and out of it after `max_failures` bad ones in a row.
class Members {
 public:
  /// What a report has changed, for the log.
  enum class Change { none, entered, left, updated };

  struct Member {
    std::string url;
    std::optional<MemberEntries> entries;  ///< Of the last good answer, while healthy.
    int failures = 0;                      ///< In a row.
    std::string last_problem;              ///< In words; empty while all is well.

    bool is_healthy() const { return entries.has_value(); }
  };

  Members(const std::vector<std::string>& urls, int max_failures);

  Change succeeded(std::size_t index, MemberEntries entries);
  Change failed(std::size_t index, std::string why);
  std::span<const Member> all() const { return members_; }
  std::size_t healthy_count() const;

 private:
  std::vector<Member> members_;
  int max_failures_;
};

/// The `peer_addrs` of every turn: turn i begins with member i of those that have an address, the
/// others follow in order; a peer counts once, where it is first. One empty list if nobody has
/// any address.
std::vector<std::vector<Multiaddr>> rotations(std::span<const MemberEntries> members);

}  // namespace pyrsia::bootstrap

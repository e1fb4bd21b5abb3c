/// The dial-back itself: what a server does for a client, and a sibling for a server.
/// Spec: libp2p/specs, autonat/autonat-v2.md, "AutoNAT V2 Protocol".
#pragma once

#include "protocols/autonat_v2/wire.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <vector>

namespace pyrsia::autonat_v2 {

struct DialerConfig {
  /// To connect. Long enough for the second repetition of a lost packet (after 3 s), and short
  /// enough that the clients of others, which wait 10 s for all, hear of a failure.
  Duration dial_timeout = std::chrono::seconds(4);
  Duration stream_timeout = std::chrono::seconds(5);  ///< To hand over the nonce, as go.
  /// Dial-backs at once. Fewer than the swarm's max_dials, so that the node's own dials have room.
  std::size_t max_dials = 64;
};

/// Dials single addresses back, each from a fresh port. Owned by the host; `swarm` must outlive it.
class Dialer {
 public:
  Dialer(swarm::Swarm& swarm, const DialerConfig& config) : swarm_(swarm), config_(config) {}

  /// True if a failure to reach `address` would say something about it: usable in our scope, of a
  /// kind and a family that we can dial, not relayed, not our own, and not of another peer.
  bool is_willing_to_dial(const Multiaddr& address, const PeerId& client) const;

  /// Dials `address`, hands over the nonce and closes the connection again. Errors, all of which
  /// mean that we could not try: `Errc::limit_reached`, `Errc::unavailable`,
  /// `Errc::network_failed`, `Errc::cancelled`.
  Task<DialStatus> dial_back(PeerId client, Multiaddr address, std::uint64_t nonce);

 private:
  class Running;

  Task<> hand_over(swarm::ConnectionId connection, std::uint64_t nonce);
  bool has_family_of(const IpAddress& target) const;
  const std::vector<InterfaceAddress>& interfaces() const;

  swarm::Swarm& swarm_;
  DialerConfig config_;
  std::size_t running_count_ = 0;
  mutable std::vector<InterfaceAddress> interfaces_;
  mutable TimePoint looked_at_ = TimePoint::min();
};

}  // namespace pyrsia::autonat_v2

/// The dial-back itself: what a server does for a client, and a sibling for a server.
/// Spec: libp2p/specs, autonat/autonat-v2.md, "AutoNAT V2 Protocol".
#pragma once

#include "protocols/autonat_v2/wire.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace pyrsia::autonat_v2 {

struct DialerConfig {
  /// To connect, handshakes included.
  Duration dial_timeout = std::chrono::seconds(7);
  /// Until somebody must have answered at the address: this, and three round trips to the client.
  Duration reach_timeout = std::chrono::milliseconds(500);
  /// Until a second try, and a third, each from another port: this, and a round trip. Packets get
  /// lost, and TCP and QUIC send theirs again after a second only.
  Duration repeat_after = std::chrono::milliseconds(100);
  int max_repeats = 2;
  Duration max_round_trip = std::chrono::milliseconds(1500);  ///< Longer ones are taken for this.
  Duration stream_timeout = std::chrono::seconds(5);          ///< To hand over the nonce, as go.
  /// Dial-backs at once. With their repeats fewer than the swarm's max_dials, so that the node's
  /// own dials have room.
  std::size_t max_dials = 40;
};

/// Dials single addresses back, each from a fresh port. Owned by the host; `swarm` must outlive it.
class Dialer {
 public:
  Dialer(swarm::Swarm& swarm, const DialerConfig& config) : swarm_(swarm), config_(config) {}

  /// True if a failure to reach `address` would say something about it: usable in our scope, of a
  /// kind and a family that we can dial, not relayed, not our own, and not of another peer.
  bool is_willing_to_dial(const Multiaddr& address, const PeerId& client) const;
  /// True if `address` is on this machine: nothing in front of it sees a dial of ours there.
  bool is_on_this_machine(const Multiaddr& address) const;

  /// Dials `address`, hands over the nonce and closes the connection again. `round_trip` is that
  /// to the client, as far as anybody knows. Errors, all of which
  /// mean that we could not try: `Errc::limit_reached`, `Errc::unavailable`,
  /// `Errc::network_failed`, `Errc::cancelled`.
  Task<DialStatus> dial_back(PeerId client, Multiaddr address, std::uint64_t nonce,
                             Duration round_trip);

  /// A dial that has ended: while it lives, its connection does, and it counts against max_dials.
  class Attempt {
   public:
    explicit Attempt(Dialer& dialer);
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt();
    bool has_reached() const { return connection_.has_value(); }

   private:
    friend class Dialer;
    Dialer& dialer_;
    std::optional<swarm::ConnectionId> connection_;
  };
  /// The first half of dial_back(): who is reached is told nothing yet. `waited` has passed since
  /// another dial to the same address began, and is taken off the time to reach it. Errors: the
  /// same.
  Task<std::unique_ptr<Attempt>> reach(PeerId client, Multiaddr address, Duration round_trip,
                                       Duration waited);
  /// The second half, for one that has reached the client. Errors: `Errc::cancelled`.
  Task<DialStatus> deliver(const Attempt& attempt, std::uint64_t nonce);

 private:
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

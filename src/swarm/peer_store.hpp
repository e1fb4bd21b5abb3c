#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace pyrsia::swarm {

/// Where an address of a peer comes from, best first.
enum class AddressSource { manual, signed_record, identify, bootstrap, observed };

struct PeerStoreLimits {
  std::size_t peers = 10'000;
  std::size_t addresses_of_one_peer = 64;
  std::size_t protocols_of_one_peer = 256;
  std::size_t string_bytes = 256;  ///< Agent, protocol version and names are cut to this.
};

/// What is known of other peers. A plain container that takes `now`: no I/O.
/// At its limit it forgets the peer that was touched longest ago and is not pinned; if all are
/// pinned it grows, as what pins (connections, configuration) has limits of its own.
class PeerStore {
 public:
  explicit PeerStore(PeerStoreLimits limits = {}) : limits_(limits) {}

  /// Adds or refreshes. Any /p2p at the end is removed; one of another peer is ignored.
  void add_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses,
                     AddressSource source, TimePoint now, Duration lifetime);
  /// Replaces all that came from `source`.
  void set_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses,
                     AddressSource source, TimePoint now, Duration lifetime);
  /// Forgets one address: another peer answers there.
  void remove_address(const PeerId& peer, const Multiaddr& address);
  /// Those that have not expired, best source first.
  std::vector<Multiaddr> addresses(const PeerId& peer, TimePoint now) const;
  /// The sequence number of the last signed record; a record with a lower one is stale.
  std::optional<std::uint64_t> record_sequence(const PeerId& peer) const;
  void set_record_sequence(const PeerId& peer, std::uint64_t sequence);

  void set_protocols(const PeerId& peer, std::vector<std::string> protocols);
  bool supports(const PeerId& peer, std::string_view protocol) const;
  bool knows_protocols(const PeerId& peer) const;  ///< It has said which it speaks.
  std::vector<std::string> protocols(const PeerId& peer) const;
  void set_agent(const PeerId& peer, std::string agent, std::string protocol_version);
  std::string agent(const PeerId& peer) const;

  /// A pinned peer is never forgotten: it is connected, or configured. Pins are counted.
  void pin(const PeerId& peer, bool is_pinned);
  /// Drops what has expired, and peers that are not pinned and have no address left.
  void expire(TimePoint now);
  std::size_t size() const { return peers_.size(); }
  /// Peers forgotten because the store was full.
  std::uint64_t evictions() const { return evictions_; }

 private:
  struct Address {
    Multiaddr address;
    AddressSource source;
    TimePoint expires_at;
  };
  struct Peer {
    std::vector<Address> addresses;
    std::vector<std::string> protocols;
    std::string agent;
    std::string protocol_version;
    std::optional<std::uint64_t> record_sequence;
    std::uint64_t touched = 0;
    int pins = 0;
  };

  /// The entry of `peer`, made if need be, now the one touched last.
  Peer& touch(const PeerId& peer);
  void make_room();
  void add_address(Peer& entry, const Multiaddr& address, AddressSource source, TimePoint expires);

  PeerStoreLimits limits_;
  std::unordered_map<PeerId, Peer> peers_;
  std::map<std::uint64_t, PeerId> unpinned_;  // By when they were touched.
  std::uint64_t touches_ = 0;
  std::uint64_t evictions_ = 0;
};

}  // namespace pyrsia::swarm

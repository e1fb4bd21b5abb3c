#pragma once

#include "multi/address_class.hpp"
#include "swarm/connection.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace pyrsia::host {

/// Where our NAT sends what leaves from one port of ours. RFC 4787, section 4.1.
enum class PortMapping {
  unknown,               ///< Fewer than two peers have seen the port.
  endpoint_independent,  ///< All peers see the same port: they can be told of it.
  endpoint_dependent,    ///< Each peer sees another port: none is of use to others.
};

/// An address of ours that nobody told us but those who see us.
struct ObservedAddress {
  Endpoint external;
  bool is_udp = false;            ///< A UDP port, as of QUIC; else a TCP port.
  std::uint16_t local_port = 0;   ///< Of the listener that it stands for.
  std::size_t observers = 0;      ///< Groups of peers in distinct networks.
  bool is_port_observed = false;  ///< Else only the IP was seen; the port is the listener's.
  TimePoint first_seen;

  /// Three observers in different networks cannot be one that lies.
  bool is_confirmed() const { return observers >= 3; }
};

/// What a STUN server said of the UDP port of a listener.
struct StunWord {
  Endpoint server;
  std::uint16_t local_port = 0;
  Endpoint mapped;
};

struct ObservedAddressLimits {
  std::size_t connections = 4096;   ///< That vote. Further ones are passed over.
  std::size_t addresses = 256;      ///< Distinct ones in all; then the least supported one goes.
  std::size_t of_one_listener = 3;  ///< Returned for a port; go's figure.
  std::size_t stun_servers = 16;    ///< Whose word is kept, for each port; others are passed over.
  Duration stun_lifetime = std::chrono::minutes(11);  ///< Of such a word: two rounds of asking.
};

/// How our NAT maps the ports of one family and protocol, and who has seen it.
struct ObservedMapping {
  PortMapping mapping = PortMapping::unknown;
  std::size_t networks = 0;  ///< Of different observers.
};

/// Collects what peers say they see us at (Identify's observedAddr), and STUN servers. A peer's
/// word counts while its connection lasts, a server's until it says otherwise or for a while, once
/// for each group of peers and servers. A plain state machine: no I/O, takes `now`. Owned by the
/// host; `classifier` must outlive it.
class ObservedAddresses {
 public:
  using Limits = ObservedAddressLimits;

  explicit ObservedAddresses(const AddressClassifier& classifier, Limits limits = {})
      : classifier_(classifier), limits_(limits) {}

  /// The peer of `connection` sees us at `observed`. Where the connection uses a listener's port,
  /// that is an address of ours; else its IP is, with the port of each listener of that family and
  /// protocol. TCP (plain or with WebSocket) and UDP (QUIC) are kept apart: a port of one is not a
  /// port of the other, but all transports over one port share what is seen of it.
  /// Passed over: relayed connections, peers or addresses outside our scope, port 0, another
  /// family than the connection's. If the table of addresses is full, the one with the fewest
  /// observers makes room; of equals one whose observers have named most addresses, so that one
  /// network of liars only displaces its own lies; then the oldest. True if something has changed.
  bool add(const swarm::ConnectionInfo& connection, const Multiaddr& observed,
           const std::vector<Multiaddr>& listen_addresses, TimePoint now);
  /// A STUN server was asked from the socket of a QUIC listener. Passed over and replaced as of a
  /// peer. True if something has changed.
  bool add(const StunWord& word, const std::vector<Multiaddr>& listen_addresses, TimePoint now);
  /// Lets go of what STUN servers said long ago. True if something has changed.
  bool expire(TimePoint now);
  /// The connection has ended: its vote is gone. True if something has changed.
  bool remove(swarm::ConnectionId connection);

  /// Those with at least `min_observers`, most observers first, then earliest first, at most
  /// Limits::of_one_listener for each family, protocol and local port.
  std::vector<ObservedAddress> candidates(std::size_t min_observers) const;

  /// From connections that we opened from a listener's port.
  ObservedMapping port_mapping(bool is_v6, bool is_udp) const;

  /// That vote; STUN servers do not count.
  std::size_t connection_count() const;
  std::size_t address_count() const { return tallies_.size(); }
  /// Addresses forgotten because the table was full.
  std::uint64_t evictions() const { return evictions_; }

 private:
  /// An external address for one local port.
  struct Key {
    bool is_udp;
    std::uint16_t local_port;
    Endpoint external;
    auto operator<=>(const Key&) const = default;
  };
  struct Tally {
    std::map<std::string, std::size_t> votes_of_group;
    std::size_t port_votes = 0;
    TimePoint first_seen;
  };
  struct Vote {
    std::vector<Key> keys;
    std::string group;
    bool is_udp = false;
    Endpoint remote;
    bool is_port_observed = false;
    bool is_outbound = false;
  };

  /// A server's word has a place among those of connections.
  struct StunVote {
    Endpoint server;
    std::uint16_t local_port;
    swarm::ConnectionId id;  ///< None that a connection has.
    TimePoint until;
  };

  bool count(swarm::ConnectionId id, Vote vote, TimePoint now);
  std::optional<Vote> vote_of(const StunWord& word,
                              const std::vector<Multiaddr>& listen_addresses) const;
  std::optional<Vote> vote_of(const swarm::ConnectionInfo& connection, const Multiaddr& observed,
                              const std::vector<Multiaddr>& listen_addresses) const;
  /// Lets go of an address that is none of `keep`'s. False if there is none.
  bool make_room(const Vote& keep);
  void forget(const Key& key);

  const AddressClassifier& classifier_;
  Limits limits_;
  std::map<Key, Tally> tallies_;
  std::unordered_map<swarm::ConnectionId, Vote> votes_;
  std::vector<StunVote> stun_votes_;
  swarm::ConnectionId last_stun_id_ = ~swarm::ConnectionId(0);  ///< They count down.
  std::uint64_t evictions_ = 0;
};

}  // namespace pyrsia::host

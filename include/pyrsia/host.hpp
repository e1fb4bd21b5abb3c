#pragma once

#include <pyrsia/config.hpp>
#include <pyrsia/host_event.hpp>
#include <pyrsia/key.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/runtime.hpp>
#include <pyrsia/stream.hpp>
#include <pyrsia/task.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pyrsia {

/// One peer that we are connected to, for display.
struct PeerInfo {
  PeerId peer;
  Multiaddr address;  ///< Of its end of the oldest connection.
  bool is_inbound = false;
  std::string agent;
  Duration connected_for{0};
};

/// One connection to a peer.
struct PathInfo {
  Multiaddr local;   ///< Without /p2p.
  Multiaddr remote;  ///< Without /p2p.
  bool is_inbound = false;
  std::string security;
  std::string muxer;
};

/// One peer-to-peer node: an identity, its connections, its protocols and its NAT verdict.
/// Lives on the thread of its runtime; all calls are made there.
class Host {
 public:
  /// A host that does nothing yet. Errors: `Errc::invalid_argument` (see validate()).
  static Result<std::unique_ptr<Host>> make(Runtime& runtime, KeyPair key, Config config);
  /// The same on any Env: for the simulation.
  static Result<std::unique_ptr<Host>> make(Env& env, KeyPair key, Config config);
  ~Host();  ///< Aborts the program if the host was started and not stopped.

  /// Listens on the configured addresses, then joins the network in the background: fetches the
  /// status documents, connects, probes. Errors: those of listening: `Errc::address_in_use`,
  /// `Errc::permission_denied`, `Errc::invalid_argument`; `detail`, if given, names the address.
  Task<> start(std::string* detail);
  /// Ends all connections and tasks. Errors: none.
  Task<> stop();

  const PeerId& peer_id() const;
  /// Where we listen, interfaces expanded. Without /p2p.
  std::vector<Multiaddr> listen_addresses() const;
  /// What we tell others, best first: confirmed, announced, then those usable in our scope.
  std::vector<Multiaddr> advertised_addresses() const;
  /// The verdict as of now.
  NatReport nat() const;
  /// What routers do for us.
  PortMappingReport port_mapping() const;
  /// The NAT64 prefixes that routers advertise (RFC 8781), "64:ff9b::/96".
  std::vector<std::string> nat64_prefixes() const;
  /// Tells that addresses or routers may be others now, or that the machine has slept: what depends
  /// on them is looked at again at once.
  void network_changed();
  /// How often that was the case: told by the kernel, by network_changed(), or by the clocks after
  /// a sleep. Whatever was found out before the number rose is about another network.
  std::uint64_t network_change_count() const;
  std::vector<PeerInfo> peers() const;
  /// The connections to `peer`; new streams go over the first.
  std::vector<PathInfo> paths(const PeerId& peer) const;

  /// Errors: see swarm::Swarm::connect(): `Errc::unavailable`, `Errc::refused`,
  /// `Errc::unreachable`, `Errc::timed_out`, `Errc::wrong_peer`, …
  /// `detail`, if given, gets a failure in words, if there is more to say than the error does.
  Task<> connect(PeerId peer, std::vector<Multiaddr> addresses, std::string* detail);
  Task<> connect(PeerId peer, std::vector<Multiaddr> addresses);
  /// Errors: those of connect(), and `Errc::not_supported`, which may come as late as the first
  /// read: a stream to a peer that we know little of does not wait for its consent.
  Task<std::unique_ptr<Stream>> open_stream(PeerId peer, std::string protocol);
  /// Serves `protocol`; the handler runs once for each stream and owns it.
  void on(std::string protocol,
          std::function<Task<>(PeerId peer, std::unique_ptr<Stream> stream)> handler);
  /// Round trip to a connected peer. Errors: `Errc::timed_out`, those of open_stream().
  Task<Duration> ping(PeerId peer);

  /// The next event, in order. The last 1024 are kept; a slow reader loses the oldest.
  /// Errors: `Errc::closed` once the host has stopped. One reader.
  Task<HostEvent> next_event();

  /// All counters of all modules and the sizes of the tables that peers fill, by the name that
  /// they are exported by: "pyrsia_swarm_dials_total", "pyrsia_swarm_connections".
  std::map<std::string, std::uint64_t> counters() const;

 private:
  struct State;
  explicit Host(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace pyrsia

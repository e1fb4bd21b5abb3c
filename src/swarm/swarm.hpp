#pragma once

#include "multi/address_class.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"
#include "swarm/config.hpp"
#include "swarm/connection.hpp"
#include "swarm/dial_request.hpp"
#include "swarm/observer.hpp"
#include "swarm/peer_store.hpp"
#include "swarm/stream_handler.hpp"
#include "transport/transport.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/log.hpp>
#include <pyrsia/multiaddr.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::swarm {

/// All connections of one host. The one way for protocols to reach peers.
/// Rule for several connections to one peer: all are kept; new streams go to the oldest
/// that is not closing; the host never closes one only because another exists.
class Swarm {
 public:
  /// `env` and `classifier` must outlive the swarm.
  Swarm(Env& env, const KeyPair& key, const Config& config, const AddressClassifier& classifier,
        Logger log);
  ~Swarm();

  void add_transport(std::unique_ptr<transport::Transport> transport);
  /// Starts the housekeeping. Call it once.
  void start();
  /// Closes everything, with a goodbye to each peer, and waits for it: a second at most, plus what
  /// handlers take to notice that they are cancelled. From then on connect(), open_stream() and
  /// listen() end with `Errc::closed`. May be repeated. Errors: none.
  Task<> stop();

  /// Returns the address as bound. Errors: `Errc::not_supported`, those of Env::tcp_listen().
  Result<Multiaddr> listen(const Multiaddr& address);
  /// Where we listen; an unspecified IP is replaced by those of the interfaces. Without /p2p.
  std::vector<Multiaddr> listen_addresses() const;
  /// Looks at the interfaces at once, not only every few seconds: they may have changed.
  void refresh_listen_addresses();

  /// Serves `protocol` from now on. Names begin with a slash.
  void handle(std::string protocol, ProtocolLimits limits, StreamHandler handler);
  /// The same for some peers only; the protocol is told to nobody, and refused to others as if it
  /// were unknown.
  void handle_for(Audience audience, std::string protocol, ProtocolLimits limits,
                  StreamHandler handler);
  /// Those that are served to all.
  std::vector<std::string> protocols() const;
  /// Asked at each dial to a global IPv4 address.
  void set_synthesis(Synthesis synthesis);
  /// True if one of the transports dials addresses of this kind.
  bool can_dial(const Multiaddr& address) const;

  /// A connection to the peer: one that is there, or the first that succeeds. Dials to one peer
  /// that ask for the same are joined; cancelling one caller leaves the others theirs. Errors:
  /// `Errc::unavailable` (no address to try), `Errc::invalid_argument` (ourselves),
  /// `Errc::limit_reached`, `Errc::timed_out`, and that of the address that came closest to
  /// success.
  Task<ConnectionInfo> connect(DialRequest request);

  /// Opens a stream to a peer and agrees on `protocol`. Connects first if need be. The peer is
  /// asked and waited for only where Identify has not named the protocol; else, and until it has
  /// said anything, the first read is what fails with `Errc::not_supported`. Errors: those of
  /// connect(), `Errc::not_supported`, `Errc::closed`, `Errc::timed_out`.
  Task<std::unique_ptr<Stream>> open_stream(PeerId peer, std::string protocol);
  /// The same on one connection. Errors: `Errc::closed` if it is gone.
  Task<std::unique_ptr<Stream>> open_stream_on(ConnectionId connection, std::string protocol);

  std::vector<ConnectionInfo> connections() const;
  std::vector<ConnectionInfo> connections_to(const PeerId& peer) const;
  bool is_connected(const PeerId& peer) const;
  std::size_t peer_count() const;  ///< Distinct connected peers.
  /// Last measured on that connection. None if it is not known yet, or if the connection is gone.
  std::optional<Duration> round_trip(ConnectionId connection) const;
  /// The same, if it was measured at `since` or later. See mux::Muxer::round_trip_since().
  std::optional<Duration> round_trip_since(ConnectionId connection, TimePoint since) const;
  /// Has it measured now.
  void measure_round_trip(ConnectionId connection);
  void close_connection(ConnectionId connection) noexcept;
  void disconnect(const PeerId& peer) noexcept;

  PeerStore& peer_store();
  const PeerStore& peer_store() const;
  const PeerId& local_peer() const;
  const KeyPair& key() const;
  Env& env();
  const AddressClassifier& classifier() const;
  const Metrics& metrics() const;

  /// Must be removed before it is destroyed.
  void add_observer(Observer& observer);
  void remove_observer(Observer& observer);

 private:
  struct State;
  class Call;
  std::unique_ptr<State> state_;  // The swarm proper, in several files; see swarm_state.hpp.
};

}  // namespace pyrsia::swarm

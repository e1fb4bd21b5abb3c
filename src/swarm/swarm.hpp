#pragma once

#include "multi/address_class.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"
#include "swarm/connection.hpp"
#include "swarm/peer_store.hpp"
#include "transport/transport.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>
#include <pyrsia/multiaddr.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::swarm {

/// A stream that a peer opened, its protocol agreed on. The handler owns it.
struct IncomingStream {
  std::unique_ptr<Stream> stream;
  std::string protocol;
  ConnectionInfo connection;
};

/// Serves one stream. Runs as a task of the swarm; must bound its own waits.
using StreamHandler = std::function<Task<>(IncomingStream)>;

/// Hears what happens. Calls come one after another, never from inside a call to the swarm.
/// The observer may call the swarm.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_connected(const ConnectionInfo&) {}
  virtual void on_disconnected(const ConnectionInfo&, Error) {}
  virtual void on_listen_addresses_changed() {}
  virtual void on_protocols_changed() {}
};

struct DialRequest {
  PeerId peer;
  /// Tried besides those of the peer store; with `is_only_these`, instead of them.
  std::vector<Multiaddr> addresses;
  bool is_only_these = false;
  bool is_new_connection = false;  ///< Dial even if connected; keep both connections.
  bool use_new_port = false;       ///< Never leave from a listener's port.
};

struct ProtocolLimits {
  std::size_t streams = 1024;  ///< Being served at once, all peers.
  std::size_t streams_of_one_peer = 64;
};

struct Config {
  std::size_t max_connections = 4096;
  std::size_t max_connections_of_one_peer = 8;
  std::size_t max_incoming_upgrades = 256;      ///< Accepted, not yet upgraded.
  std::size_t max_connections_of_one_ip = 256;  ///< IPv4 address or IPv6 /56; loopback exempt.
  std::size_t max_negotiating_streams = 64;     ///< Incoming, of one connection.
  Duration upgrade_timeout = std::chrono::seconds(15);      ///< Accept to muxer.
  Duration dial_timeout = std::chrono::seconds(15);         ///< One address.
  Duration connect_timeout = std::chrono::seconds(60);      ///< All addresses of a peer.
  Duration negotiation_timeout = std::chrono::seconds(10);  ///< Protocol of one stream.
  Duration tick_interval = std::chrono::seconds(5);         ///< Keep-alive and housekeeping.
};

struct Metrics {
  Counter dials;
  Counter dials_failed;
  Counter accepted;
  Counter upgrades_failed;
  Counter connections_refused;  ///< Over a limit.
  Counter streams_opened;
  Counter streams_accepted;
  Counter streams_refused;  ///< Over a limit, or no protocol in common.
};

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
  /// Closes everything and waits for it. Errors: none.
  Task<> stop();

  /// Returns the address as bound. Errors: `Errc::not_supported`, those of Env::tcp_listen().
  Result<Multiaddr> listen(const Multiaddr& address);
  /// Where we listen; an unspecified IP is replaced by those of the interfaces. Without /p2p.
  std::vector<Multiaddr> listen_addresses() const;

  /// Serves `protocol` from now on. Names begin with a slash.
  void handle(std::string protocol, ProtocolLimits limits, StreamHandler handler);
  std::vector<std::string> protocols() const;

  /// A connection to the peer: one that is there, or the first that succeeds. Dials to one peer
  /// that ask for the same are joined. Errors: `Errc::unavailable` (no address to try),
  /// `Errc::invalid_argument` (ourselves), `Errc::limit_reached`, `Errc::timed_out`, and that of
  /// the address that came closest to success.
  Task<ConnectionInfo> connect(DialRequest request);

  /// Opens a stream to a peer and agrees on `protocol`. Connects first if need be.
  /// Errors: those of connect(), `Errc::not_supported`, `Errc::closed`, `Errc::timed_out`.
  Task<std::unique_ptr<Stream>> open_stream(PeerId peer, std::string protocol);
  /// The same on one connection. Errors: `Errc::closed` if it is gone.
  Task<std::unique_ptr<Stream>> open_stream_on(ConnectionId connection, std::string protocol);

  std::vector<ConnectionInfo> connections() const;
  std::vector<ConnectionInfo> connections_to(const PeerId& peer) const;
  bool is_connected(const PeerId& peer) const;
  std::size_t peer_count() const;  ///< Distinct connected peers.
  void close_connection(ConnectionId connection) noexcept;
  void disconnect(const PeerId& peer) noexcept;

  PeerStore& peer_store();
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
  std::unique_ptr<State> state_;  // The swarm proper, in several files; see swarm_state.hpp.
};

}  // namespace pyrsia::swarm

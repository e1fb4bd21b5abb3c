#pragma once

#include "base/role.hpp"
#include "mux/muxer.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/task.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace pyrsia::transport {

/// A connection ready for streams: encrypted, peer known, muxer agreed.
struct Connection {
  std::unique_ptr<mux::Muxer> muxer;
  PublicKey peer_key;
  PeerId peer;
  Multiaddr local;              ///< Without /p2p.
  Multiaddr remote;             ///< Without /p2p; for a dialed one the resolved IP address.
  bool is_port_shared = false;  ///< It leaves from the port of one of our listeners.
  std::string security;         ///< "/noise"
  std::string muxer_protocol;   ///< "/yamux/1.0.0"
};

struct DialOptions {
  /// Leave from an ephemeral port, never a listener's: dial-backs must not go through a hole that
  /// the client's own traffic made.
  bool use_new_port = false;
  /// Called when the peer was reached and handshakes of their own round trips follow.
  std::function<void()> on_connected;
  /// The DNS name that led to the address; empty: none. A WebSocket asks the server for it.
  std::string host_name;
  /// Gets a failure in words, if there is more to say than the error does. Outlives the dial.
  std::string* detail = nullptr;
};

/// An accepted connection that is not yet upgraded.
class Incoming {
 public:
  virtual ~Incoming() = default;
  virtual Multiaddr remote() const = 0;
  /// Call it once. Has no timeout. Errors: those of the handshakes.
  virtual Task<Connection> upgrade() = 0;
  /// Why it failed, in words; empty: there is nothing to say but the error.
  virtual std::string detail() const { return {}; }
};

class Listener {
 public:
  virtual ~Listener() = default;
  /// Errors: `Errc::closed` after close(); others concern one connection.
  virtual Task<std::unique_ptr<Incoming>> accept() = 0;
  /// As bound: the real port, and possibly an unspecified IP.
  virtual Multiaddr address() const = 0;
  virtual void close() noexcept = 0;
};

/// One way to reach peers: TCP, QUIC.
class Transport {
 public:
  virtual ~Transport() = default;

  /// True for addresses of this kind with an IP in front (names are resolved by the swarm).
  virtual bool can_dial(const Multiaddr& address) const = 0;
  /// Dials and upgrades. `peer` must be who answers. Has no timeout.
  /// Errors: those of Env::tcp_connect() and of the handshakes; `Errc::wrong_peer`.
  virtual Task<Connection> dial(Multiaddr address, PeerId peer, DialOptions options) = 0;

  virtual bool can_listen(const Multiaddr& address) const = 0;
  /// Errors: those of Env::tcp_listen().
  virtual Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) = 0;

  /// Ends what runs in the background, when its connections and listeners are no longer used.
  /// Errors: none.
  virtual Task<> stop() { co_return ok; }
};

}  // namespace pyrsia::transport

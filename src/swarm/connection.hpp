#pragma once

#include <pyrsia/key.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/time.hpp>

#include <cstdint>
#include <string>

namespace pyrsia::swarm {

using ConnectionId = std::uint64_t;

enum class Direction { inbound, outbound };

/// What is known of a connection; a copy, true when it was made.
struct ConnectionInfo {
  ConnectionId id = 0;
  PeerId peer;
  PublicKey peer_key;
  Direction direction = Direction::inbound;
  Multiaddr local;   ///< Without /p2p.
  Multiaddr remote;  ///< Without /p2p.
  /// Accepted by a listener, or dialed from its port: the peer sees what others would see.
  bool is_port_shared = false;
  std::string security;
  std::string muxer_protocol;
  TimePoint opened_at;
};

}  // namespace pyrsia::swarm

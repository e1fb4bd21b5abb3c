#pragma once

#include "swarm/black_hole.hpp"

#include <pyrsia/metrics.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>

namespace pyrsia::swarm {

struct ProtocolLimits {
  std::size_t streams = 1024;  ///< Being served at once, all peers.
  std::size_t streams_of_one_peer = 64;
};

struct Config {
  std::size_t max_connections = 4096;
  std::size_t max_connections_of_one_peer = 8;
  std::size_t max_incoming_upgrades = 256;           ///< Accepted, not yet upgraded.
  std::size_t max_incoming_upgrades_of_one_ip = 64;  ///< As above; loopback exempt.
  std::size_t max_accepts_per_second = 5000;         ///< More are closed at once.
  std::size_t max_connections_of_one_ip = 256;       ///< IPv4 address or IPv6 /56; loopback exempt.
  std::size_t max_negotiating_streams = 256;         ///< Incoming, of one connection: as many
                                                     ///< as a yamux peer opens in one burst.
  std::size_t max_dials = 160;                       ///< Addresses being dialed, all peers.
  BlackHoleRules black_holes = {};
  Duration upgrade_timeout = std::chrono::seconds(20);      ///< Accept to muxer.
  Duration dial_timeout = std::chrono::seconds(15);         ///< One address, or its name.
  Duration connect_timeout = std::chrono::seconds(60);      ///< All addresses of a peer.
  Duration negotiation_timeout = std::chrono::seconds(10);  ///< Protocol of one stream.
  Duration tick_interval = std::chrono::seconds(5);         ///< Keep-alive and housekeeping.
};

struct Metrics {
  Counter dials;            ///< Addresses dialed.
  Counter dials_failed;     ///< Of these; those cancelled are not counted.
  Counter dials_held_back;  ///< Addresses put last: they probably lead into a black hole.
  Counter accepted;
  Counter accept_errors;  ///< Out of file descriptors, most likely.
  Counter upgrades_failed;
  Counter connections_refused;  ///< Over a limit.
  Counter streams_opened;
  Counter streams_accepted;
  Counter streams_refused;  ///< Over a limit, or no protocol in common.
};

}  // namespace pyrsia::swarm

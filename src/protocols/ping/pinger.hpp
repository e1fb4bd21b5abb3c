/// The ping service: answers pings, and measures round trips to peers.
/// Spec: libp2p/specs, ping/ping.md.
#pragma once

#include "swarm/swarm.hpp"

#include <pyrsia/metrics.hpp>

namespace pyrsia::ping {

struct Config {
  Duration timeout = std::chrono::seconds(10);       ///< One round of ours, opening included.
  Duration idle_timeout = std::chrono::seconds(10);  ///< A peer's stream without a ping ends.
  std::size_t streams_of_one_peer = 2;               ///< Spec: serve two.
};

struct Metrics {
  Counter sent;
  Counter failed;
  Counter answered;
};

/// Owned by the host. `swarm` must outlive it; the swarm must be stopped before it is destroyed.
class Pinger {
 public:
  Pinger(swarm::Swarm& swarm, const Config& config) : swarm_(swarm), config_(config) {}

  /// Begins to answer. Call it once.
  void start();

  /// One round trip on a stream of its own: peers end idle ping streams at will, so none is kept.
  /// Connects first if need be. Errors: those of Swarm::open_stream(), `Errc::timed_out`,
  /// `Errc::protocol_violation`.
  Task<Duration> ping(PeerId peer);
  /// The same on one connection. Errors: the same; `Errc::closed` if it is gone.
  Task<Duration> ping_on(swarm::ConnectionId connection);

  const Metrics& metrics() const { return metrics_; }

 private:
  Task<> serve(swarm::IncomingStream incoming);
  Task<Duration> ask_peer(PeerId peer);
  Task<Duration> ask_connection(swarm::ConnectionId connection);
  Task<Duration> ask_and_close(std::unique_ptr<Stream> stream);
  Task<Duration> counted(Task<Duration> round);

  swarm::Swarm& swarm_;
  Config config_;
  Metrics metrics_;
};

}  // namespace pyrsia::ping

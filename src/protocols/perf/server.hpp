/// The perf service: lets others measure their way to us.
/// Spec: libp2p/specs, perf/perf.md.
#pragma once

#include "swarm/swarm.hpp"

#include <pyrsia/metrics.hpp>

namespace pyrsia::perf {

struct ServerConfig {
  Duration timeout = std::chrono::minutes(10);  ///< One run.
  std::size_t max_streams = 64;
  std::size_t max_streams_of_one_peer = 16;
};

struct ServerMetrics {
  Counter runs;
  Counter failed;
  Counter received_bytes;
  Counter sent_bytes;
};

/// Costs as much as others want it to: not for a node that is open to strangers.
/// `swarm` must outlive it, and be stopped before it is destroyed.
class Server {
 public:
  Server(swarm::Swarm& swarm, const ServerConfig& config) : swarm_(swarm), config_(config) {}

  /// Begins to serve. Call it once.
  void start();
  const ServerMetrics& metrics() const { return metrics_; }

 private:
  Task<> serve_stream(swarm::IncomingStream incoming);

  swarm::Swarm& swarm_;
  ServerConfig config_;
  ServerMetrics metrics_;
};

}  // namespace pyrsia::perf

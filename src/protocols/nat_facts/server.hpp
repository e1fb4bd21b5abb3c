/// Tells peers how the NATs in front of us behave, so that they can say beforehand which path they
/// will get. Spec: docs/adr/0037-nat-facts-between-peers.md.
#pragma once

#include "nat/behaviour/report.hpp"
#include "runtime/env.hpp"
#include "swarm/throttle.hpp"

#include <pyrsia/metrics.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/stream.hpp>

#include <functional>
#include <memory>

namespace pyrsia::nat_facts {

struct ServerConfig {
  Duration timeout = std::chrono::seconds(10);  ///< One exchange.
  swarm::ThrottleWindow throttle = {std::chrono::minutes(1), 60, 6, 12};
  std::size_t max_streams = 32;  ///< Served at a time.
};

struct ServerMetrics {
  Counter answered;
  Counter limited;  ///< Dropped: too many, or too often.
  Counter failed;
};

/// Owned by whoever knows the facts; `env` must outlive it.
class Server {
 public:
  /// The facts as of now. May look for them first; errors end the stream.
  using Facts = std::function<Task<nat::Report>()>;

  Server(Env& env, const ServerConfig& config, Facts facts);

  /// Serves one stream of a peer that is seen at `ip`. Bounds its own time. Errors: those of
  /// answer() and of the facts, `Errc::timed_out`, `Errc::limit_reached`.
  Task<> serve(PeerId peer, IpAddress ip, std::unique_ptr<Stream> stream);
  const ServerMetrics& metrics() const { return metrics_; }

 private:
  Task<> answer_with_facts(Stream& stream);

  Env& env_;
  ServerConfig config_;
  Facts facts_;
  swarm::Throttle throttle_;
  std::size_t stream_count_ = 0;
  ServerMetrics metrics_;
};

}  // namespace pyrsia::nat_facts

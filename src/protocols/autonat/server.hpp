/// The AutoNAT v1 server: dials back whoever asks.
/// Spec: libp2p/specs, autonat/autonat-v1.md; statuses and texts are the original node's.
#pragma once

#include "protocols/autonat/probe.hpp"
#include "swarm/swarm.hpp"
#include "swarm/throttle.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <unordered_set>
#include <vector>

namespace pyrsia::autonat {

struct ServerConfig {
  /// Dialed for one request. All are under way at the same time and the last one starts within
  /// 4 s, so that each has its chance within the budget, however silent the others are.
  std::size_t max_addresses = 16;
  /// For all addresses of one request. Clients wait 30 s for the answer.
  Duration dial_budget = std::chrono::seconds(12);
  Duration request_timeout = std::chrono::seconds(10);  ///< To receive a request.
  Duration answer_timeout = std::chrono::seconds(5);    ///< To hand over the answer.
  /// The original's window, and one that bounds what it would add up to. Empty: no limit.
  std::vector<swarm::ThrottleWindow> throttle = {{std::chrono::seconds(1), 30, 3, 6},
                                                 {std::chrono::minutes(1), 600, 30, 60}};
  /// Addresses being dialed at once, of all requests. Fewer than the swarm's max_dials, so that
  /// the node's own dials have room beside them.
  std::size_t max_dials = 128;
};

struct ServerMetrics {
  Counter requests;
  Counter reached;
  Counter not_reached;
  Counter refused;       ///< By a rule or a limit.
  Counter bad_requests;  ///< Malformed, or in the name of another peer.
  Counter failed;        ///< We could not try, or the client did not wait.
};

/// Owned by the host. `swarm` and `observer` must outlive it; the swarm must be stopped before it
/// is destroyed. Its tasks are the swarm's.
class Server {
 public:
  Server(swarm::Swarm& swarm, const ServerConfig& config, Observer& observer, Logger log);

  /// Begins to serve. Call it once.
  void start();

  const ServerMetrics& metrics() const { return metrics_; }

 private:
  struct Accepted {
    std::vector<Multiaddr> addresses;
    IpAddress observed;
  };
  class Ongoing;
  /// What came of a dial-back.
  struct DialedBack {
    DialResponse response;
    std::optional<swarm::ConnectionId> connection;
  };

  Task<> serve(swarm::IncomingStream incoming);
  Task<> serve_dial(Stream& stream, swarm::ConnectionInfo client, Dial dial);
  Task<> answer(Stream& stream, DialResponse response);
  Task<DialedBack> dial_back(PeerId client, std::vector<Multiaddr> addresses);
  /// The addresses to dial, or the refusal.
  std::variant<Accepted, DialResponse> decide(const swarm::ConnectionInfo& client,
                                              const Dial& dial);
  std::optional<IpAddress> observed_ip(const swarm::ConnectionInfo& client) const;
  void report(const PeerId& client, const DialResponse& response);

  swarm::Swarm& swarm_;
  Env& env_;
  ServerConfig config_;
  Observer& observer_;
  Logger log_;
  ServerMetrics metrics_;
  swarm::Throttle throttle_;
  std::unordered_set<PeerId> ongoing_;
  std::size_t dial_count_ = 0;  ///< Addresses of the requests in `ongoing_`.
};

}  // namespace pyrsia::autonat

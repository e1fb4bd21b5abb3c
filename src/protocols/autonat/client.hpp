/// The AutoNAT v1 client: asks others whether they can reach us.
/// Spec: libp2p/specs, autonat/autonat-v1.md; timers are the original node's.
#pragma once

#include "protocols/autonat/probe.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pyrsia::autonat {

struct ClientConfig {
  /// First probe at the latest; sooner once a connected server is known.
  Duration boot_delay = std::chrono::seconds(5);
  Duration retry_interval = std::chrono::seconds(10);  ///< Unless probe_at() says otherwise.
  Duration probe_timeout = std::chrono::seconds(30);   ///< One probe, opening included.
  /// So many servers are asked at once at the start, for a fast verdict; later one a time.
  std::size_t first_probes = 3;
  /// Pause of a server that failed (not: refused): doubles with each failure, with jitter.
  Duration min_back_off = std::chrono::seconds(5);
  Duration max_back_off = std::chrono::minutes(5);
  std::size_t max_servers = 256;  ///< Fixed ones and those that we remember something of.
};

struct ClientMetrics {
  Counter probes;
  Counter answered;  ///< Any status.
  Counter failed;    ///< No answer.
  Counter no_server;
  Counter no_address;
};

/// Owned by the host. `swarm` and `observer` must outlive it.
class Client {
 public:
  /// Our candidate addresses, best first: observed, announced, listened on. Those that others
  /// cannot use, and that are not plain TCP, are left out here.
  using Addresses = std::function<std::vector<Multiaddr>()>;

  Client(swarm::Swarm& swarm, const ClientConfig& config, Addresses addresses, Observer& observer,
         Logger log);
  ~Client();

  /// Begins to probe. Call it once.
  void start();
  /// Errors: none.
  Task<> stop();

  /// A server that is asked also when it is not connected or not in our scope; it is dialed at
  /// `addresses` then. Errors: `Errc::limit_reached`.
  Result<> add_server(const PeerId& peer, const std::vector<Multiaddr>& addresses);
  /// A connected peer has been identified, or our addresses have changed: perhaps the first probes
  /// can start.
  void reconsider();
  /// When the next probe is due: set by whoever judges the answers. Holds for one probe.
  void probe_at(TimePoint at);
  /// While paused it asks nobody of its own accord: where something better does.
  void set_paused(bool is_paused);
  /// True while a probe of ours is at this peer: connections from it may be its dial-backs.
  bool is_probing(const PeerId& peer) const;

  const ClientMetrics& metrics() const { return metrics_; }

 private:
  struct Server {
    bool is_fixed = false;
    std::vector<Multiaddr> addresses;
    int failures = 0;
    TimePoint not_before{};
    bool is_probing = false;
    bool was_asked = false;
  };
  /// What one probe needs; the task's own copy.
  struct Probe {
    PeerId server;
    std::vector<Multiaddr> server_addresses;
    std::vector<Multiaddr> asked;
  };

  Task<> run();
  void first_probes();
  void tick();
  void start_probe(const PeerId& server, std::vector<Multiaddr> asked);
  Task<> probe(Probe probe);
  Task<DialResponse> ask(Probe probe);
  void answered(const Probe& probe, const DialResponse& response);
  void failed(const Probe& probe, Error error);

  std::vector<Multiaddr> usable_addresses() const;
  /// Peers that can be asked now. Only connected ones: those that need no dialing.
  std::vector<PeerId> eligible_servers(bool only_connected);
  bool is_eligible(const PeerId& peer) const;
  bool is_connected_in_scope(const PeerId& peer) const;
  void forget_strangers();
  Duration back_off(int failures);
  void report_error(std::optional<PeerId> server, std::string reason);

  swarm::Swarm& swarm_;
  Env& env_;
  ClientConfig config_;
  Addresses addresses_;
  Observer& observer_;
  Logger log_;
  ClientMetrics metrics_;
  std::map<PeerId, Server> servers_;
  TimePoint next_probe_at_{};
  std::size_t first_probes_left_;
  bool is_paused_ = false;
  Event woken_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::autonat

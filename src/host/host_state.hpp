#pragma once

#include "bootstrap/client/client.hpp"
#include "host/event_queue.hpp"
#include "host/joiner.hpp"
#include "host/mapped_ports.hpp"
#include "host/nat64_route.hpp"
#include "host/network_memory.hpp"
#include "host/observed_addresses.hpp"
#include "host/reachability.hpp"
#include "host/shared_ports.hpp"
#include "host/wake_detector.hpp"
#include "host/web_certificate.hpp"
#include "protocols/autonat/client.hpp"
#include "protocols/autonat/server.hpp"
#include "protocols/autonat_v2/client.hpp"
#include "protocols/autonat_v2/dialer.hpp"
#include "protocols/autonat_v2/server.hpp"
#include "protocols/autonat_v2/sibling/siblings.hpp"
#include "protocols/identify/identifier.hpp"
#include "protocols/perf/server.hpp"
#include "protocols/ping/pinger.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"
#include "transport/quic/transport.hpp"
#include "transport/tcp/transport.hpp"

#include <pyrsia/host.hpp>

#include <optional>
#include <set>

namespace pyrsia {

/// All parts of a host, in the order in which they depend on each other, and what flows between
/// them: who sees us where, which addresses are candidates, what the probes say of them.
struct Host::State final : private swarm::Observer,
                           private identify::Observer,
                           private autonat::Observer,
                           private autonat_v2::Observer {
  State(Env& env, const KeyPair& key, Config config);
  ~State() override;

  Task<> start(std::string* detail);
  Task<> stop();

  /// Where we might be reached: announced, observed and listened on, if usable in our scope.
  std::vector<host::CandidateAddress> candidates() const;
  /// The verdict, and, until there is one, what was the case when we were here last.
  NatReport nat() const;
  std::vector<Multiaddr> advertised_addresses() const;
  /// For whoever keeps port mappings. At most 16 are kept in mind.
  void port_mapping_changed(const host::MappingChanged& change);
  std::vector<PeerInfo> peers();
  std::map<std::string, std::uint64_t> counters() const;

  Env& env;
  Config config;
  Logger log;
  AddressClassifier classifier;
  EventQueue events;
  transport::tcp::Transport* tcp = nullptr;    ///< The swarm's.
  transport::quic::Transport* quic = nullptr;  ///< The swarm's.
  swarm::Swarm swarm;
  host::ObservedAddresses observed;
  host::ReachabilityTracker reachability;
  host::NetworkMemory memory;
  host::MappedPorts mapped_ports;
  host::WebCertificate web_certificate;
  host::Nat64Route nat64;
  std::optional<host::SharedPorts> shared_ports;
  ping::Pinger pinger;
  identify::Identifier identifier;
  autonat::Server autonat_server;
  autonat::Client autonat_client;
  autonat_v2::Dialer dial_backs;
  autonat_v2::sibling::Siblings siblings;
  autonat_v2::Server autonat_v2_server;
  autonat_v2::Client autonat_v2_client;
  perf::Server perf_server;
  bootstrap::Metrics bootstrap_metrics;
  std::optional<bootstrap::Client> bootstrap_client;
  Joiner joiner;
  bool is_running = false;
  TimePoint started_at{};
  bool is_connected = false;  ///< Fully.
  std::set<Multiaddr> announced_listeners;
  std::optional<TimePoint> planned_probe;  ///< What the client was told last.
  std::map<std::pair<bool, bool>, host::NatMapping> told_mappings;  ///< By is_v6, is_udp.
  std::optional<TimePoint> planned_round;                           ///< The same of AutoNAT v2.
  std::optional<TimePoint> v2_since;  ///< When the first server of AutoNAT v2 was there.
  host::KnownServers told_servers;
  std::vector<Endpoint> told_stun_servers;
  std::unique_ptr<NetworkWatcher> network_watcher;  ///< While it runs.
  std::uint64_t network_change_count = 0;
  std::vector<host::MappingChanged> port_mappings;  ///< Those that are there.
  host::WakeDetector wake_detector;
  std::optional<host::NetworkKey> here;  ///< Our network, if it can be told from others.
  TimePoint came_here_at{};              ///< Or later: when something may have changed it.
  Event nat64_doubted;
  bool is_recording = false;  ///< The header has been written.
  TaskGroup tasks;

 private:
  void on_connected(const swarm::ConnectionInfo& connection) override;
  void on_disconnected(const swarm::ConnectionInfo& connection, Error reason) override;
  void on_listen_addresses_changed() override;
  void on_identified(const swarm::ConnectionInfo& connection, const identify::Info& info) override;
  void on_inbound_probe(const InboundProbe& probe) override;
  void on_outbound_probe(const OutboundProbe& probe) override;
  void on_probe_result(const autonat::ProbeResult& result) override;
  void on_address_result(const autonat_v2::AddressResult& result) override;

  /// Reads the certificate and the roots that secure WebSockets need.
  Task<> load_web_tls(std::string* detail);
  /// Listens on all addresses of the configuration.
  Result<> listen_on_all(std::string* detail);
  /// `tcp_port`: that of a TCP listener, if there is one.
  Result<Multiaddr> listen(const Multiaddr& address, std::optional<std::uint16_t> tcp_port);
  void close_connections_of_lost_addresses();
  /// The addresses that we have may be others than before.
  void addresses_changed();
  /// Tells the state machine, the recording, and whoever hears of what follows.
  void feed(const host::ReachabilityInput& input);
  void feed_servers();
  void choose_version();
  host::SharedPorts::Callbacks stun_callbacks();
  /// The boot peers that we are connected to and that have QUIC: there they answer STUN, too.
  std::vector<Endpoint> stun_servers() const;
  void look_for_stun_servers();
  std::vector<Multiaddr> addresses_over(const std::vector<Multiaddr>& waists) const;
  /// How our NAT maps each kind of listener, as far as peers have seen it.
  void feed_nat_mappings();
  void record(const host::ReachabilityInput& input);
  /// Everything may be different from before: looks at it all again.
  void recheck(const std::string& why);
  Task<> watch_network();
  /// Acts on what the watcher tells. Ends with its error.
  Task<> follow_network();
  /// Tells the client when the next probe is due, if that has changed.
  void plan_probe();
  void judge_mappings(bool are_new);
  void look_which_network();
  /// Keeps what was learned of the network that we are in.
  void remember_network();
  Task<> keep_house();
  Task<> learn_nat64();
  /// Learns it again whenever it is doubted: what waits for DNS keeps nobody waiting.
  Task<> follow_nat64();
};

}  // namespace pyrsia

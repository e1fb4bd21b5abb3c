#pragma once

#include "bootstrap/client/client.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <deque>
#include <functional>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

namespace pyrsia {

struct JoinerConfig {
  std::vector<Multiaddr> peers;       ///< Configured peers, each with /p2p: always kept connected.
  std::size_t wanted_boot_peers = 3;  ///< Of those that the status documents name.
  std::size_t max_boot_peers = 1024;  ///< Remembered as such; more are peers like any other.
  Duration min_delay = std::chrono::seconds(1);  ///< Between two tries of a configured peer.
  Duration max_delay = std::chrono::minutes(5);
  /// A boot peer that is there by TCP and by QUIC is connected to by both: each shows another side
  /// of our NAT, and only a port that sends is seen.
  bool wants_both_kinds = false;
  /// A connection that lasted so long was a success: the delays begin anew after it.
  Duration settle_time = std::chrono::seconds(30);
};

struct JoinerMetrics {
  Counter rounds;
  Counter joined;
  Counter failed;
};

/// Gets the host into the network and keeps it there: dials the configured peers and those that
/// the status documents name, and begins again, ever slower, when all are lost.
/// Owned by the host; `swarm` must outlive it, and be stopped after it.
class Joiner final : private swarm::Observer {
 public:
  struct Callbacks {
    std::function<void(const BootstrapProgress&)> on_progress;
    /// A boot peer, before it is dialed.
    std::function<void(const bootstrap::BootPeer&)> on_boot_peer;
  };

  /// `client` may be null: no status documents.
  Joiner(swarm::Swarm& swarm, JoinerConfig config, bootstrap::Client* client, Callbacks callbacks,
         Logger log);
  ~Joiner() override;

  void start();
  /// Errors: none.
  Task<> stop();
  /// A connected peer has said where it is.
  void on_identified(const PeerId& peer);

  /// Named by a status document or configured.
  bool is_boot_peer(const PeerId& peer) const { return boot_peers_.contains(peer); }
  /// Where boot peers that were dialed are said to be, with /p2p: the latest 64.
  const std::vector<Multiaddr>& boot_addresses() const { return boot_addresses_; }
  /// Connected to at least one of these.
  bool is_joined() const { return connected_count() > 0; }
  const JoinerMetrics& metrics() const { return metrics_; }

 private:
  void on_connected(const swarm::ConnectionInfo& connection) override;
  void on_disconnected(const swarm::ConnectionInfo& connection, Error reason) override;

  Task<> keep_connected(bootstrap::BootPeer configured);
  Task<> follow_documents();
  /// The peers of the last documents, or those of the cache.
  Task<> dial_known();
  /// Dials some of `peers` at a time, until as many as wanted are connected or none is left.
  void start_round(std::vector<bootstrap::BootPeer> peers);
  Task<> dial_queued(std::uint64_t round);
  Task<> dial(bootstrap::BootPeer peer);
  Task<swarm::ConnectionInfo> connect(bootstrap::BootPeer peer);
  /// Connects over UDP, or over TCP, unless that is done.
  Task<> connect_by(bool is_udp, bootstrap::BootPeer peer);
  Task<> connect_again_by(bool is_udp, PeerId peer);
  bool is_connected_by(bool is_udp, const PeerId& peer) const;
  Task<> wait_for_round();
  Task<> wait_until_alone();
  bool is_settled(const PeerId& peer) const;
  std::size_t connected_count() const;
  void tell(BootstrapProgress::Stage stage, std::string text);

  swarm::Swarm& swarm_;
  Env& env_;
  JoinerConfig config_;
  bootstrap::Client* client_;
  Callbacks callbacks_;
  Logger log_;
  JoinerMetrics metrics_;
  std::unordered_set<PeerId> boot_peers_;
  std::vector<Multiaddr> boot_addresses_;   ///< The latest last.
  std::vector<bootstrap::BootPeer> known_;  ///< Of the last documents, or of the cache.
  std::deque<bootstrap::BootPeer> queue_;
  std::set<std::pair<bool, PeerId>> connecting_by_;  ///< See connect_by().
  std::uint64_t round_ = 0;
  std::size_t dialing_count_ = 0;
  Event changed_;  ///< follow_documents() waits for it.
  TaskGroup dials_;
  TaskGroup tasks_;
};

}  // namespace pyrsia

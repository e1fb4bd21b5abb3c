/// The list of a boot cluster that is embedded in each of its servers: this one, and the
/// statically listed others, whose health is checked over HTTP.
/// Spec: docs/protocols.md, "Boot cluster".
#pragma once

#include "bootstrap/directory/rotation.hpp"
#include "multi/address_class.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::bootstrap {

/// In the query of a status URL: the asker is a member that checks our health, and gets our own
/// addresses first without a turn of the rotation passing.
inline constexpr std::string_view kHealthCheckQuery = "check";

/// What the directory needs to know of the node that it belongs to.
class LocalNode {
 public:
  virtual ~LocalNode() = default;

  virtual PeerId peer_id() const = 0;
  /// Where it listens, interfaces expanded, without /p2p.
  virtual std::vector<Multiaddr> listen_addresses() const = 0;
  /// What it tells others, announced addresses included, best first, without /p2p.
  virtual std::vector<Multiaddr> advertised_addresses() const = 0;
  /// Distinct peers.
  virtual std::vector<PeerId> connected_peers() const = 0;
};

struct DirectoryConfig {
  std::vector<std::string> members;  ///< Status URLs of the other boot servers.
  /// Addresses that the operator announces: listed whatever their class.
  std::vector<Multiaddr> announce;
  /// An IPv4 address that takes the place of the one in each listen address; listed whatever its
  /// class. Empty: none. Anything else than IPv4 is logged and ignored, as by the original.
  std::string external_ip;
  Duration check_interval = std::chrono::seconds(2);  ///< One member; drawn from ±20 %.
  Duration check_timeout = std::chrono::seconds(2);
  int max_failures = 2;  ///< In a row, then a member is out: within 8 s of its death.
  /// How old the documents may be: so often, at most, they are made anew.
  Duration refresh_interval = std::chrono::milliseconds(250);
};

struct DirectoryMetrics {
  Counter health_checks;
  Counter health_failures;
  Counter members_entered;
  Counter members_left;
  Counter rebuilds;
};

/// Keeps one finished status document for each turn of the rotation. Owned by the program.
class Directory {
 public:
  /// `env`, `classifier`, `node`, `metrics` and the sink of `log` must outlive it.
  Directory(Env& env, DirectoryConfig config, const AddressClassifier& classifier,
            const LocalNode& node, Logger log, DirectoryMetrics& metrics);

  /// Begins to check the members. Call once.
  void start();
  /// Errors: none.
  Task<> stop();

  /// The finished documents, one a turn, at least one. The reference is good until the next call.
  const std::vector<std::string>& documents();
  /// Changes whenever documents() has changed. Ask after documents().
  std::uint64_t generation() const { return generation_; }
  /// Every member but ourselves.
  const Members& members() const { return members_; }

 private:
  Task<> watch(std::size_t index);
  Task<> check(std::size_t index);
  void log_change(std::size_t index, Members::Change change, const std::string& why);
  MemberEntries own() const;
  void rebuild();

  Env& env_;
  DirectoryConfig config_;
  const AddressClassifier& classifier_;
  const LocalNode& node_;
  Logger log_;
  DirectoryMetrics& metrics_;
  Members members_;
  std::optional<IpAddress> external_ip_;
  std::vector<std::string> documents_;
  std::uint64_t generation_ = 0;
  std::optional<TimePoint> refreshed_at_;
  bool is_list_empty_ = false;
  TaskGroup watchers_;
};

}  // namespace pyrsia::bootstrap

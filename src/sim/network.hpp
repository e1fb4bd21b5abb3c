#pragma once

#include "sim/dns.hpp"
#include "sim/nat.hpp"
#include "sim/node.hpp"
#include "sim/packet.hpp"
#include "sim/path.hpp"
#include "sim/world.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::sim {

class SimHost;

struct HostConfig {
  std::string name;                         ///< For traces and reports.
  std::vector<std::string> addresses = {};  ///< "192.0.2.1", "2001:db8::1"; must parse.
  SimNat* behind = nullptr;                 ///< nullptr: directly on the internet.
  Duration access_delay = Duration(0);      ///< Every packet to or from it takes this longer.
};

/// A NAT box, or a firewall if its NatConfig names no outer address.
class SimNat final : public Node {
 public:
  SimNat(NatConfig config, std::mt19937_64 random, SimNat* behind)
      : Node("nat", config.external, behind, Duration(0)),
        inside_(config.inside),
        table_(std::move(config), random) {}

  NatTable& table() { return table_; }
  const std::optional<IpAddress>& inside() const { return inside_; }

 private:
  std::optional<IpAddress> inside_;
  NatTable table_;
};

/// A network of hosts and NAT boxes around one internet, in virtual time. NAT boxes sit at their
/// hosts: a packet is translated outwards when it is sent, inwards when it arrives. Where sender
/// and receiver have the same outermost box, the packet turns at the innermost common one.
///
/// Owns its hosts. Must be destroyed before its world, and after all that uses its hosts.
class Network {
 public:
  explicit Network(World& world);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  World& world() { return world_; }

  SimHost& add_host(const HostConfig& config);
  /// `behind`: the box that this one sits behind (double NAT, CGNAT), or nullptr.
  SimNat& add_nat(const NatConfig& config, SimNat* behind = nullptr);

  /// The way between `a` and `b` in both directions, counted between the outermost boxes (or hosts)
  /// that are not common to both: hosts behind the same box as `b` share it with `b`.
  void set_path(const Node& a, const Node& b, const PathConfig& config);
  /// The same in one direction.
  void set_path_one_way(const Node& from, const Node& to, const PathConfig& config);
  /// For all ways over the internet without set_path(). At first they cost nothing.
  void set_default_path(const PathConfig& config);

  /// No packet passes between a node of `side` (or behind one) and one of `other`. Packets under
  /// way are lost too. Adds to earlier partitions.
  void partition(const std::vector<const Node*>& side, const std::vector<const Node*>& other);
  /// Ends all partitions.
  void heal() { partitions_.clear(); }

  /// Names for the resolver of every host.
  Dns& dns() { return dns_; }

  /// Breaks the network operation with this number (0 is the first of the world): a connection
  /// is reset at both ends, another call fails. For sweeps: go on until operation_count() stays
  /// below. Operations: listen, accept, connect, each read, write and close_write, bind, send,
  /// receive, resolve.
  void fail_operation(std::uint64_t number) { failing_operation_ = number; }
  std::uint64_t operation_count() const { return operation_count_; }
  /// A read returns no more than this: 1 finds wrong assumptions.
  void set_max_read_bytes(std::size_t bytes) { max_read_bytes_ = bytes; }
  std::size_t max_read_bytes() const { return max_read_bytes_; }

  /// Gets one line for each packet: time, what became of it, the packet.
  void set_trace(std::function<void(const std::string&)> trace) { trace_ = std::move(trace); }
  std::uint64_t delivered_count() const { return delivered_count_; }
  std::uint64_t dropped_count() const { return dropped_count_; }

  /// Who waits for what, a line each.
  std::string describe() const;

  // For hosts.

  /// Sends a packet from `host`.
  void send(SimHost& host, Packet packet);
  /// Counts an operation. True: it must fail.
  bool operation_fails();
  /// Never the same twice.
  std::uint64_t next_connection_id() { return ++last_connection_id_; }
  /// `host` has other addresses now.
  void readdress(Node& node, const std::vector<IpAddress>& before);

 private:
  struct Arrival {
    Packet packet;
    Node* at;
  };
  class Clock final : public Timer {
   public:
    explicit Clock(Network& network) : network_(network) {}

   private:
    void expired() override { network_.deliver_next(); }
    Network& network_;
  };
  struct Way {
    Path path;
    bool is_default = false;
  };
  struct Partition {
    std::set<const Node*> side;
    std::set<const Node*> other;
  };
  /// The addresses that can be reached in one place: the internet (nullptr) or inside a box.
  using Realm = std::map<IpAddress, Node*>;

  void enter(Node& node, const IpAddress& ip);
  void leave(Node& node, const IpAddress& ip);
  Node* find(const SimNat* realm, const IpAddress& ip) const;
  /// Sends on a packet that came out of `side` into the realm `side` is in.
  void route(Packet packet, Node& side);
  /// Turns a packet from `side`, inside `nat`, that is meant for the outer address of `nat`.
  void hairpin(Packet packet, Node& side, SimNat& nat);
  /// Counts the hop at `box`, on the way out of a datagram of `sender`, an address of `host`, which
  /// has taken `delay` so far. True: it was the last, and `host` will hear of it.
  bool expires(Packet& packet, const Endpoint& sender, Node& host, const SimNat& box,
               Duration delay);
  void refuse(const Packet& packet, SimNat& nat);
  void cross(Packet packet, Node& from, Node& to, Duration delay);
  void schedule(TimePoint at, Packet packet, Node& node);
  void deliver_next();
  void arrive(Packet packet, Node& node);
  bool is_partitioned(const Node* from, const Node& to) const;
  void drop(const Packet& packet, std::string_view why);
  void trace(const Packet& packet, std::string_view what);
  Way& way(const Node& from, const Node& to);

  World& world_;
  std::mt19937_64 random_;
  std::uint64_t last_stream_ = 0;
  std::uint64_t last_connection_id_ = 0;
  std::uint64_t operation_count_ = 0;
  std::uint64_t failing_operation_ = UINT64_MAX;
  std::size_t max_read_bytes_ = SIZE_MAX;
  std::uint64_t delivered_count_ = 0;
  std::uint64_t dropped_count_ = 0;
  std::function<void(const std::string&)> trace_;
  PathConfig default_path_;
  Dns dns_;
  std::map<const SimNat*, Realm> realms_;
  std::map<std::pair<const Node*, const Node*>, Way> ways_;
  std::vector<Partition> partitions_;
  std::vector<std::unique_ptr<SimNat>> nats_;
  std::vector<std::unique_ptr<SimHost>> hosts_;
  std::multimap<TimePoint, Arrival> under_way_;
  Clock clock_;
};

}  // namespace pyrsia::sim

/// The AutoNAT v2 client: asks others which of our addresses they can reach.
/// Spec: libp2p/specs, autonat/autonat-v2.md.
#pragma once

#include "protocols/autonat_v2/contacted_ips.hpp"
#include "protocols/autonat_v2/dial_back_inbox.hpp"
#include "protocols/autonat_v2/probe.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::autonat_v2 {

struct ClientConfig {
  /// So many servers are asked at once about a new address, and about one that probe() names.
  std::size_t first_probes = 3;
  /// Between two rounds that ask one server about each address, unless probe_at() says otherwise.
  Duration refresh_interval = std::chrono::minutes(5);
  /// The same server is not asked about the same address again within this, unless by probe().
  Duration throttle = std::chrono::minutes(2);
  /// After so many refusals of an address in a row, by whomever, it rests. As go.
  std::size_t max_refusals = 5;
  Duration refusal_rest = std::chrono::minutes(10);
  Duration probe_timeout = std::chrono::seconds(20);     ///< One exchange, opening included.
  Duration dial_back_timeout = std::chrono::seconds(5);  ///< One dial-back stream, as a reader.
  Duration nonce_wait = std::chrono::seconds(5);         ///< After the answer, as go.
  /// Pause of a server that failed (not: refused): doubles with each failure, with jitter.
  Duration min_back_off = std::chrono::seconds(5);
  Duration max_back_off = std::chrono::minutes(5);
  /// Requests at once; to one server at most one about TCP and one about UDP, as go allows two.
  std::size_t max_parallel = 12;
  std::size_t max_servers = 256;  ///< That we remember something of.
  std::size_t max_tracked_addresses = 64;
  /// What we pay for one probe, in bytes: a server that asks for more is left. 0: never pay.
  std::uint64_t max_dial_data_bytes = kMaxDialDataBytes;
};

struct ClientMetrics {
  Counter probes;
  Counter reachable;
  Counter unreachable;
  Counter refused;          ///< E_DIAL_REFUSED, E_REQUEST_REJECTED.
  Counter unproven;         ///< Reachable says the server, but its nonce has not come as it should.
  Counter failed;           ///< No answer, or none that makes sense.
  Counter dial_data_bytes;  ///< Paid.
  Counter dial_backs;       ///< Whose nonce we waited for.
  Counter unknown_nonces;   ///< Never ours, or used before.
};

/// Owned by the host. `swarm` and `observer` must outlive it; the swarm must be stopped before it
/// is destroyed.
class Client final : private swarm::Observer {
 public:
  /// Our candidate addresses, best first. Those that others cannot use are left out here.
  using Addresses = std::function<std::vector<Multiaddr>()>;

  Client(swarm::Swarm& swarm, const ClientConfig& config, Addresses addresses,
         autonat_v2::Observer& observer, Logger log);
  ~Client() override;

  /// Begins to probe, and to take dial-backs. Call it once.
  void start();
  /// Errors: none.
  Task<> stop();

  /// Our addresses have changed: something may be asked that could not be asked before.
  void reconsider();
  /// The peer at the other end has said what it speaks on this connection. Others that it has with
  /// us are asked about apart: rust serves on those that it has accepted, and on no other.
  void on_identified(const swarm::ConnectionInfo& connection,
                     const std::vector<std::string>& protocols);
  /// Something has happened that may concern these: asks about them now, several servers at once,
  /// also such as were asked a moment ago. Those that are no candidates are left out.
  void probe(const std::vector<Multiaddr>& addresses);
  /// When the next round is due: one more server about each address. Holds for one round.
  void probe_at(TimePoint at);

  /// True while a request of ours is at this peer.
  bool is_probing(const PeerId& peer) const;
  /// True while any is: an incoming connection may be a dial-back, from whomever it comes.
  bool is_expecting_dial_backs() const { return probing_count_ > 0; }
  /// Connections to peers that serve AutoNAT v2, over which they can be asked; one each.
  std::vector<swarm::ConnectionInfo> servers() const;
  /// We have sent something of the same kind (TCP, UDP) to the IP at the other end before this
  /// connection, or besides it. Others that came in from there to the same listener do not count:
  /// they were let in themselves.
  bool has_contacted(const swarm::ConnectionInfo& connection) const;
  /// We have sent something to this IP, over TCP or UDP, by another way than the swarm.
  void add_contacted_ip(const IpAddress& ip, bool is_udp) {
    contacted_.add(ip, is_udp, env_.now());
  }

  const ClientMetrics& metrics() const { return metrics_; }

 private:
  struct Server {
    std::string network;  ///< Where it was asked: one of its kind is one opinion.
    int failures = 0;
    TimePoint not_before{};
    std::set<bool> probing;  ///< What it is being asked about: true for UDP.
    /// It has answered for another address than the first, as rust does: it is asked one by one.
    bool is_picky = false;
    std::map<Multiaddr, TimePoint> asked;
    std::map<Multiaddr, TimePoint> tried;  ///< The same, whatever came of it.
    /// When it was asked again, as its helper had become one that we know.
    std::map<Multiaddr, TimePoint> asked_again;
  };
  /// What we still want to know of one address.
  struct Wish {
    std::size_t count = 0;     ///< So many more servers are to be asked.
    TimePoint triggered_at{};  ///< By probe(): who was asked before may be asked again.
    std::size_t refusals = 0;  ///< In a row.
    TimePoint rests_until{};
  };
  /// What may be asked over a connection. Without an entry: what the peer has said elsewhere.
  enum class Service {
    none,
    requests,
    dial_back,  ///< It has brought a nonce, and is closed soon.
  };
  class Expecting;
  /// What one probe needs; the task's own copy.
  struct Probe {
    swarm::ConnectionInfo server;
    DialRequest request;
    TimePoint begin;
  };
  static constexpr std::size_t kMaxDialBackStreams = 256;
  /// One peer may dial back for all servers that we ask: more than max_parallel, so that what is
  /// over the limit is never a nonce of ours. And few cannot keep the others out.
  static constexpr std::size_t kMaxDialBackStreamsOfOnePeer = 16;
  /// How long we know whom we have asked, to ask another the next time.
  static constexpr Duration kMemory = std::chrono::minutes(15);

  void on_dialing(const Multiaddr& address) override;
  void on_connected(const swarm::ConnectionInfo& connection) override;
  void on_disconnected(const swarm::ConnectionInfo& connection, Error reason) override;

  Task<> run();
  void tick();
  void update_wanted(const std::vector<Multiaddr>& addresses);
  TimePoint next_turn() const;
  /// A connection to a server that may be asked about `address` now; none if there is none.
  std::optional<swarm::ConnectionInfo> choose_server(const Multiaddr& address);
  swarm::ConnectionInfo least_asked(std::vector<swarm::ConnectionInfo> among,
                                    const Multiaddr& address);
  bool can_ask_on(const swarm::ConnectionInfo& connection) const;
  bool may_ask(const PeerId& peer, const Multiaddr& address) const;
  void start_probe(const swarm::ConnectionInfo& connection, const Multiaddr& address,
                   const std::vector<Multiaddr>& all);
  std::uint64_t random_nonce();

  Task<> probe_server(Probe probe);
  Task<DialResponse> ask(Probe probe);
  AddressResult result_of(const Probe& probe, const Result<DialResponse>& response,
                          const ArrivedDialBack* dial_back) const;
  Task<AddressResult> learn(Probe probe);
  void ended(const Probe& probe, const AddressResult& result);
  /// It is to be asked again at once, as it may find a better witness now.
  bool is_worth_another(Server& server, const Multiaddr& first, const AddressResult& result) const;
  /// What the result says of the wishes that it came of.
  void settle(const Multiaddr& first, const AddressResult& result, bool is_refusal);
  void count(const AddressResult& result, bool is_refusal);
  void report(const AddressResult& result);

  Task<> take_dial_back(swarm::IncomingStream incoming);
  void note_dial_back(const swarm::ConnectionInfo& connection);
  bool is_by_open_way(const swarm::ConnectionInfo& connection) const;
  bool is_alive(const swarm::ConnectionInfo& connection) const;
  bool is_local_address_there(const swarm::ConnectionInfo& connection) const;

  std::vector<Multiaddr> usable_addresses() const;
  void forget_strangers();
  Duration back_off(int failures);

  swarm::Swarm& swarm_;
  Env& env_;
  ClientConfig config_;
  Addresses addresses_;
  autonat_v2::Observer& observer_;
  Logger log_;
  ClientMetrics metrics_;
  ContactedIps contacted_;
  DialBackInbox inbox_;
  std::map<swarm::ConnectionId, Service> services_;  ///< As many as there are connections.
  std::map<PeerId, Server> servers_;
  std::map<Multiaddr, Wish> wanted_;
  std::size_t probing_count_ = 0;
  TimePoint next_round_at_{};
  Event woken_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::autonat_v2

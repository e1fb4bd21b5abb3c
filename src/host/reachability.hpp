#pragma once

#include "host/address_judge.hpp"
#include "host/confidence_verdict.hpp"
#include "host/reachability_input.hpp"
#include "host/reprobe_schedule.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/nat.hpp>

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::host {

struct ReachabilityConfig {
  // AutoNAT v1: the original's figures.
  int max_confidence = 3;
  Duration retry_interval = std::chrono::seconds(10);    ///< Between probes while unsettled.
  Duration refresh_interval = std::chrono::seconds(30);  ///< At full confidence.
  /// Evidence that is older counts no more; a verdict without evidence becomes unknown.
  Duration evidence_lifetime = std::chrono::minutes(15);
  std::size_t max_evidence = 64;
  std::size_t max_addresses = 64;
  /// An address on which nobody has had a word after so long no longer holds up the node's verdict.
  Duration patience = std::chrono::seconds(8);
  ReprobeConfig reprobe;
};

/// Merges all evidence on whether others can reach us into one verdict for each address and one for
/// the node, with confidence, age and reason. Answers of AutoNAT v2 servers and connections of
/// strangers decide on addresses (AddressJudge); those of v1 servers fill in, by the original's
/// rule, where nobody has had such a word. The node is reachable if any address is; it is not if
/// every address is not, or if a NAT gives each peer another port. Refusals, errors, silence and
/// lost connections change nothing. A plain state machine: no I/O, takes `now`. Owned by the host.
class ReachabilityTracker {
 public:
  explicit ReachabilityTracker(const ReachabilityConfig& config = {});

  /// The one way in. Returns the node's transition, if there is one.
  std::optional<StatusChanged> take(const ReachabilityInput& input, TimePoint now);
  /// How the verdicts on single addresses have changed since the last call.
  std::vector<AddressVerdictChanged> take_address_changes();

  // The same by name.
  std::optional<StatusChanged> set_candidates(const std::vector<CandidateAddress>& candidates,
                                              TimePoint now);
  std::optional<StatusChanged> add_result(const autonat::ProbeResult& result, bool is_boot_peer,
                                          TimePoint now);
  std::optional<StatusChanged> tick(TimePoint now);

  /// A peer connected to us that we did not ask for it: no evidence, but good to know.
  void add_inbound_connection(TimePoint now);
  /// Fully connected: an inbound probe request of a boot peer was seen.
  void set_connected(bool is_connected) { is_connected_ = is_connected; }

  Reachability status() const { return node_.status; }
  int confidence() const { return node_.confidence; }
  /// The confirmed address, while the node is reachable.
  const std::optional<Multiaddr>& public_address() const { return node_.address; }
  /// True unless the address is known to be of no use: what may be advertised.
  bool may_advertise(const Multiaddr& address) const;
  /// When the next v1 probe should start; in the past if it is overdue. None: as soon as possible.
  std::optional<TimePoint> next_probe() const { return next_probe_; }
  /// When AutoNAT v2 servers should be asked next about each address.
  std::optional<TimePoint> next_round() const { return schedule_.next_round(); }
  /// Addresses to ask v2 servers about at once. Each is named once.
  std::vector<Multiaddr> take_doubted() { return schedule_.take_doubted(); }
  /// Somebody has had a word on one of our addresses, other than by AutoNAT v1.
  bool has_votes() const { return !judges_.empty(); }
  NatReport report(TimePoint now) const;

 private:
  struct Address {
    Multiaddr waist;  ///< See thin_waist().
    std::string source;
    std::size_t observers = 0;
    std::uint16_t local_port = 0;
    bool is_candidate = true;
    ConfidenceVerdict v1;
    TimePoint first_seen;
    Reachability told = Reachability::unknown;  ///< In take_address_changes().
    bool told_confirmed = false;
  };
  /// A v1 answer that was evidence.
  struct Answer {
    TimePoint at;
    PeerId server;
    std::string network;
    bool is_boot_peer;
    Reachability says;
    std::vector<Multiaddr> addresses;
  };
  /// The last answer that was no evidence.
  struct Refusal {
    TimePoint at;
    std::string text;
  };
  /// Who agrees with a v1 verdict.
  struct Support {
    std::size_t servers = 0;
    std::size_t groups = 0;
    bool is_all_boot_peers = true;
    std::optional<TimePoint> last;
  };
  /// What a verdict on the node rests on.
  enum class Basis { nothing, addresses, nat_mapping, v1 };
  struct NodeVerdict {
    Reachability status = Reachability::unknown;
    int confidence = 0;
    bool is_confirmed = false;
    Basis basis = Basis::nothing;
    std::optional<Multiaddr> address;
  };

  // The inputs: reachability.cpp.
  std::optional<StatusChanged> on(const Candidates& input, TimePoint now);
  std::optional<StatusChanged> on(const ServerAnswer& input, TimePoint now);
  std::optional<StatusChanged> on(const DialBack& input, TimePoint now);
  std::optional<StatusChanged> on(const StrangerConnected& input, TimePoint now);
  std::optional<StatusChanged> on(const NatMapping& input, TimePoint now);
  std::optional<StatusChanged> on(const KnownServers& input, TimePoint now);
  std::optional<StatusChanged> on(const Doubt& input, TimePoint now);
  std::optional<StatusChanged> on(const TimePassed& input, TimePoint now);
  void expire(TimePoint now);
  void vote(const Multiaddr& waist, Vote vote, TimePoint now);
  void judge_by_v1(const Answer& answer);
  std::optional<Multiaddr> waist_of_listener(const StrangerConnected& stranger) const;
  bool trusts_known_ip(const Multiaddr& waist) const;
  bool make_room_for_address();
  void drop_lost_addresses();
  std::set<Multiaddr> waists() const;

  // From addresses to the node: node_verdict.cpp.
  std::optional<StatusChanged> settle(TimePoint now);
  NodeVerdict judge_node(TimePoint now) const;
  NodeVerdict judge_by_addresses(TimePoint now) const;
  void note_address_changes(TimePoint now);
  bool counts(const Multiaddr& address, const Address& state) const;
  bool has_candidates() const;
  std::optional<std::string> why_gone(const Multiaddr& address) const;
  bool is_beyond_dependent_nat(const Multiaddr& address, const Address& state) const;
  Reachability status_of(const Address& state) const;
  const AddressJudge* judge_of(const Address& state) const;

  // The words: reachability_text.cpp.
  Support support(Reachability says, const Multiaddr* address, TimePoint now) const;
  std::string node_reason(TimePoint now) const;
  std::string node_reason_by_v1(TimePoint now) const;
  std::string node_reason_by_addresses(TimePoint now) const;
  std::string node_reason_for_unknown(TimePoint now) const;
  std::string address_reason(const Multiaddr& address, const Address& state, TimePoint now) const;
  AddressVerdict address_verdict(const Multiaddr& address, const Address& state,
                                 TimePoint now) const;
  std::vector<NatEvidence> v1_evidence(const Multiaddr* address, TimePoint now) const;
  std::vector<NatEvidence> node_evidence(TimePoint now) const;
  std::vector<NatEvidence> verdict_evidence(TimePoint now) const;
  std::optional<Duration> node_age(TimePoint now) const;

  ReachabilityConfig config_;
  NodeVerdict node_;
  ConfidenceVerdict v1_;
  std::optional<Multiaddr> v1_address_;
  std::map<Multiaddr, Address> addresses_;
  std::map<Multiaddr, AddressJudge> judges_;  ///< By thin waist; a subset of those of addresses_.
  std::deque<Answer> answers_;
  std::optional<Refusal> refusal_;
  std::string why_unknown_;
  std::vector<std::string> networks_;                     ///< Of v2 servers.
  std::map<std::pair<bool, bool>, NatMapping> mappings_;  ///< By is_v6, is_udp.
  TimePoint nat_judged_at_{};  ///< When the NAT's mapping last was what the verdict rests on.
  ReprobeSchedule schedule_;
  std::vector<AddressVerdictChanged> address_changes_;
  std::optional<TimePoint> last_result_;
  std::optional<TimePoint> next_probe_;
  std::size_t inbound_connections_ = 0;
  bool is_connected_ = false;
};

}  // namespace pyrsia::host

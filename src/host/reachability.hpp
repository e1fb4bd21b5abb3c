#pragma once

#include "host/observed_addresses.hpp"
#include "protocols/autonat/probe.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::host {

struct ReachabilityConfig {
  int max_confidence = 3;
  Duration retry_interval = std::chrono::seconds(10);    ///< Between probes while unsettled.
  Duration refresh_interval = std::chrono::seconds(30);  ///< At full confidence.
  /// Evidence that is older counts no more; a verdict without evidence becomes unknown.
  Duration evidence_lifetime = std::chrono::minutes(15);
  std::size_t max_evidence = 64;
  std::size_t max_addresses = 64;
  unsigned group_bits_v4 = 24;  ///< Servers in the same such network count as one.
  unsigned group_bits_v6 = 56;
};

/// An address that we might be reached at.
struct CandidateAddress {
  Multiaddr address;   ///< Without /p2p.
  std::string source;  ///< "listen", "observed", "announced", "mapped"
  std::size_t observers = 0;
};

/// A three-valued verdict that contrary evidence must wear down before it changes: the original
/// node's rule. The first evidence counts at once.
class Verdict {
 public:
  /// True if the status has changed. `evidence` is not unknown.
  bool add(Reachability evidence, int max_confidence, TimePoint now);
  void weaken() { confidence_ -= confidence_ > 0 ? 1 : 0; }
  void forget() { *this = {}; }

  Reachability status() const { return status_; }
  int confidence() const { return confidence_; }
  std::optional<TimePoint> last_evidence() const { return last_evidence_; }

 private:
  Reachability status_ = Reachability::unknown;
  int confidence_ = 0;
  std::optional<TimePoint> last_evidence_;
};

/// Merges all evidence on whether others can reach us into one verdict for each address and one for
/// the node, with confidence, age and reason. Only answers of AutoNAT servers are evidence: that
/// they reached us, or that they tried and failed. Refusals, errors, silence and lost connections
/// change nothing. A plain state machine: no I/O, takes `now`. Owned by the host.
class ReachabilityTracker {
 public:
  explicit ReachabilityTracker(ReachabilityConfig config = {}) : config_(config) {}

  /// All that follow return the node's transition, if there is one.

  /// What the addresses are now; each call replaces all. A new address makes a verdict that is not
  /// `reachable` less certain; the loss of the confirmed one ends it.
  std::optional<StatusChanged> set_candidates(const std::vector<CandidateAddress>& candidates,
                                              TimePoint now);
  /// A server has answered. `is_boot_peer` is for the reason only.
  std::optional<StatusChanged> add_result(const autonat::ProbeResult& result, bool is_boot_peer,
                                          TimePoint now);
  /// Lets old evidence expire. To be called now and then.
  std::optional<StatusChanged> tick(TimePoint now);

  /// A peer connected to us that we did not ask for it: no evidence, but good to know.
  void add_inbound_connection(TimePoint now);
  void set_port_mapping(PortMapping mapping) { port_mapping_ = mapping; }
  /// Fully connected: an inbound probe request of a boot peer was seen.
  void set_connected(bool is_connected) { is_connected_ = is_connected; }

  Reachability status() const { return node_.status(); }
  int confidence() const { return node_.confidence(); }
  /// The address that a server has reached last, while the node is reachable.
  const std::optional<Multiaddr>& public_address() const { return public_address_; }
  /// True unless the address is known to be of no use: what may be advertised.
  bool may_advertise(const Multiaddr& address) const;
  /// When the next probe should start; in the past if it is overdue. None: as soon as possible.
  std::optional<TimePoint> next_probe() const { return next_probe_; }
  NatReport report(TimePoint now) const;

 private:
  struct Address {
    std::string source;
    std::size_t observers = 0;
    bool is_candidate = true;
    Verdict verdict;
  };
  struct Evidence {
    TimePoint at;
    PeerId server;
    std::string group;
    bool is_boot_peer;
    Reachability says;
    std::vector<Multiaddr> addresses;
  };
  /// The last answer that was no evidence.
  struct Refusal {
    TimePoint at;
    std::string text;
  };
  /// Who agrees with a verdict.
  struct Support {
    std::size_t servers = 0;
    std::size_t groups = 0;
    bool is_all_boot_peers = true;
    std::optional<TimePoint> last;
  };

  std::optional<StatusChanged> change_to_unknown(std::string reason);
  std::optional<std::string> why_public_address_is_gone() const;
  void judge_addresses(const Evidence& evidence);
  bool make_room_for_address();
  std::string group_of(const autonat::ProbeResult& result) const;
  Support support(Reachability says, const Multiaddr* address, TimePoint now) const;
  std::string reason(TimePoint now) const;
  std::string reason(const Multiaddr& address, const Verdict& verdict, TimePoint now) const;
  std::string reason_for_unknown(TimePoint now) const;

  ReachabilityConfig config_;
  Verdict node_;
  std::optional<Multiaddr> public_address_;
  std::map<Multiaddr, Address> addresses_;
  std::deque<Evidence> evidence_;
  std::optional<Refusal> refusal_;
  std::string why_unknown_;
  std::optional<TimePoint> last_result_;
  std::optional<TimePoint> next_probe_;
  std::size_t inbound_connections_ = 0;
  PortMapping port_mapping_ = PortMapping::unknown;
  bool is_connected_ = false;
};

}  // namespace pyrsia::host

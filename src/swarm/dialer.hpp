#pragma once

#include "runtime/env.hpp"
#include "runtime/task_group.hpp"
#include "swarm/black_hole.hpp"
#include "swarm/connections.hpp"
#include "swarm/dial_backoff.hpp"
#include "swarm/dial_request.hpp"
#include "swarm/listeners.hpp"
#include "swarm/resolver.hpp"
#include "swarm/shared.hpp"

#include <list>
#include <memory>
#include <string>
#include <vector>

namespace pyrsia::swarm {

/// Makes connections to peers: finds the addresses, resolves names, dials in the order of a
/// DialPlan, and joins those who want the same. Owned by the swarm.
///
/// Back-off: an address of the peer store that failed rests (DialBackoff) and is left out; those
/// of the request itself are always tried. Failures of a request with `is_only_these` leave no
/// trace (nor does a black hole hold them back): they say something about that one question (can
/// you be reached there?), not about how to reach the peer.
class Dialer {
 public:
  /// All must outlive it.
  Dialer(Shared& shared, Connections& connections, const Listeners& listeners, Notifier& notifier);
  ~Dialer();

  /// As Swarm::connect(), but without a look at the connections that are there.
  Task<ConnectionInfo> connect(DialRequest request);
  void tick(TimePoint now) { backoff_.expire(now); }
  /// Ends all dials with `Errc::closed`.
  Task<> stop();

  std::size_t running() const { return running_; }

 private:
  struct Job;
  class Waiter;
  class DialSlot;
  class Outcome;

  Job* find_joinable(const DialRequest& request) const;
  Job& make_job(DialRequest request);
  void add_addresses(Job& job, const std::vector<Multiaddr>& addresses, bool is_stored);
  void add_address(Job& job, const ResolvedAddress& resolved, bool is_stored);
  Task<> drive(Job& job);
  Task<> wait_for_change(Job& job);
  void start_due(Job& job);
  Task<> resolve_name(Job& job, Multiaddr address);
  Task<> dial(Job& job, Multiaddr address);
  bool may_have_crossed(const Multiaddr& address, const Error& error) const;
  Task<transport::Connection> dial_once(Job& job, const Multiaddr& address,
                                        const transport::DialOptions& options);
  Task<> repeat(Job& job, Multiaddr address);
  Task<> give_up(Job& job, Multiaddr address);
  void dial_ended(Job& job, const Multiaddr& address, Result<ConnectionInfo> result,
                  const std::string& detail);
  void finish(Job& job);
  /// The detectors that an address concerns. AutoNAT's dials concern none: they say something about
  /// the asking peer, and must not be held back.
  std::vector<BlackHoleDetector*> detectors_for(const Job& job, const Multiaddr& address);
  transport::Transport* transport_for(const Multiaddr& address) const;

  Shared& shared_;
  Connections& connections_;
  const Listeners& listeners_;
  Notifier& notifier_;
  DialBackoff backoff_;
  BlackHoleDetector udp_;
  BlackHoleDetector ipv6_;
  std::list<std::unique_ptr<Job>> jobs_;
  std::size_t running_ = 0;  // Addresses being dialed, all jobs.
  bool is_stopping_ = false;
  TaskGroup
      drivers_;  // Never cancelled: each driver must wait for its dials. They are told to end.
};

}  // namespace pyrsia::swarm

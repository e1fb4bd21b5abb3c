#pragma once

#include "nat/behaviour/discovery.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"

#include <memory>

namespace pyrsia::nat {

struct ProberConfig {
  /// Of the first round, when nobody has answered yet: until all is silent.
  stun::RetransmitPlan first_plan = stun::RetransmitPlan::quick();
  /// How much longer than for the first answer others are waited for in the first round.
  Duration grace = std::chrono::milliseconds(150);
  /// Later rounds send each request this often, and the first time wait for so many round trips.
  int transmissions = 3;
  double round_trips = 2.5;
  Duration min_rto = std::chrono::milliseconds(50);
  Duration max_rto = std::chrono::milliseconds(400);
  /// What the servers, which have IPv4, are reached through.
  std::optional<Nat64Prefix> nat64 = {};
  /// Where all clients count; outlives the prober. Null: nowhere.
  stun::ClientMetrics* metrics = nullptr;
};

/// Runs a Discovery: sockets, answers, time. One run. Owned by whoever probes, who calls stop().
class Prober {
 public:
  /// `servers` are of one family; `local` is where the sockets are bound, of that family: an
  /// unspecified address, or one of ours. The port is not used.
  Prober(Env& env, std::vector<Endpoint> servers, IpAddress local, const ProberConfig& config);
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  ~Prober();

  /// Ends when all is known that can be: four rounds. With no server that answers, `is_blocked`
  /// is unknown: perhaps there is no network at all. Errors: as Env::udp_bind(),
  /// `Errc::cancelled`.
  Task<UdpBehaviour> run();
  /// The server that was asked, and its other address; once run() has ended.
  std::optional<Endpoint> server() const { return discovery_.server(); }
  std::optional<Endpoint> other() const { return discovery_.other(); }
  /// Errors: none.
  Task<> stop();

 private:
  struct Round;

  Result<> open(const Test& test);
  Result<> open_ports();
  Result<stun::Client*> client_of(Role role, std::size_t number);
  Task<> run_round(const std::vector<Test>& tests);
  Task<> run_test(Test test, Round& round, std::size_t index);
  Task<bool> hairpin(Test test);
  stun::RetransmitPlan plan() const;

  Env& env_;
  IpAddress local_;
  ProberConfig config_;
  Discovery discovery_;
  std::map<std::pair<Role, std::size_t>, std::unique_ptr<stun::Client>> clients_;
  std::unique_ptr<Round> round_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::nat

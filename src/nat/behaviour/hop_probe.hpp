#pragma once

#include "nat/behaviour/hop_trace.hpp"
#include "nat/stun/client.hpp"
#include "runtime/task_group.hpp"

#include <memory>
#include <vector>

namespace pyrsia::nat {

struct HopConfig {
  stun::RetransmitPlan plan = stun::RetransmitPlan::quick();  ///< Of asking where we are seen.
  /// Routers are waited for so many round trips to the server, within these limits, before a
  /// datagram is sent again.
  double round_trips = 2.5;
  Duration min_wait = std::chrono::milliseconds(100);
  Duration max_wait = std::chrono::milliseconds(250);
  Duration limit = std::chrono::milliseconds(1800);  ///< For all of it.
};

/// Asks STUN servers where they see us, and runs a HopTrace towards the first that answers and
/// towards that address. What it sends are Binding indications, which nobody answers. One run. The
/// owner calls stop().
class HopProbe {
 public:
  static constexpr std::size_t kMaxServers = 8;

  /// `servers` are of one family.
  HopProbe(Env& env, std::vector<Endpoint> servers, const HopConfig& config);
  HopProbe(const HopProbe&) = delete;
  HopProbe& operator=(const HopProbe&) = delete;

  /// Nothing is found out where no server answers, or where one sees us at our own address. Takes
  /// `limit` at most. Errors: `Errc::cancelled`.
  Task<HopFacts> run();
  /// Ends when the first datagrams are out, or none will leave. One task at a time. Errors:
  /// `Errc::cancelled`.
  Task<> begun() { return begun_.wait(); }
  /// Errors: none.
  Task<> stop();

 private:
  Task<> look();
  Task<> ask(Endpoint server);
  Task<> listen(std::size_t hop);
  void send(HopTrace::Target target, std::size_t hop);
  bool is_own(const IpAddress& ip);

  Env& env_;
  std::vector<Endpoint> servers_;
  HopConfig config_;
  HopTrace trace_;
  std::optional<stun::Response> seen_;  ///< The first answer.
  std::size_t asking_count_ = 0;
  Event answered_;
  Event begun_;
  std::vector<std::unique_ptr<UdpSocket>> sockets_;  ///< Of each hop limit, from 1 on.
  TaskGroup tasks_;
};

}  // namespace pyrsia::nat

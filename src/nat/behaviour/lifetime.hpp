#pragma once

#include "nat/behaviour/behaviour.hpp"
#include "nat/stun/client.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <memory>
#include <vector>

namespace pyrsia::nat {

struct LifetimeConfig {
  /// How long each of the sockets stays silent, rising. All wait at the same time, so that the
  /// measurement takes as long as the first after which the mapping is gone.
  std::vector<Duration> waits = {
      std::chrono::seconds(15),  std::chrono::seconds(25),  std::chrono::seconds(35),
      std::chrono::seconds(55),  std::chrono::seconds(65),  std::chrono::seconds(95),
      std::chrono::seconds(125), std::chrono::seconds(185), std::chrono::seconds(305)};
  stun::RetransmitPlan plan = stun::RetransmitPlan::quick();
};

/// Measures how long a mapping of UDP lives without traffic: a socket makes a mapping and is
/// silent; then another socket asks the server to answer to the first one's outer port. RFC 5780,
/// 4.6. One run. The owner calls stop().
class LifetimeProbe {
 public:
  LifetimeProbe(Env& env, Endpoint server, IpAddress local, LifetimeConfig config);
  LifetimeProbe(const LifetimeProbe&) = delete;
  LifetimeProbe& operator=(const LifetimeProbe&) = delete;

  /// Errors: `Errc::timed_out` (the server does not answer), `Errc::not_supported` (it does not
  /// know RESPONSE-PORT), as Env::udp_bind(), `Errc::cancelled`.
  Task<LifetimeRange> run();
  Task<> stop();

 private:
  enum class Outcome { pending, unknown, alive, gone };

  Task<> watch(std::size_t index);
  Task<Outcome> outcome_of(std::size_t index);
  bool is_decided() const;
  Task<Outcome> is_alive(stun::Client& silent, std::uint16_t mapped_port);

  Env& env_;
  Endpoint server_;
  IpAddress local_;
  LifetimeConfig config_;
  std::vector<std::unique_ptr<stun::Client>> silent_;
  std::unique_ptr<stun::Client> asking_;
  std::vector<Outcome> outcomes_;
  Event changed_;
  TaskGroup tasks_;
};

/// What the outcomes of rising waits mean: the longest that was alive before the first that was
/// gone.
LifetimeRange lifetime_of(const std::vector<std::pair<Duration, bool>>& outcomes);

}  // namespace pyrsia::nat

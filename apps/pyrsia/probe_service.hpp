#pragma once

#include "http/message.hpp"
#include "nat/behaviour/survey.hpp"
#include "options.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/nat.hpp>
#include <pyrsia/port_mapping.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace pyrsia::app {

/// `GET /probe`: what `pyrsia probe` asks the running node, and what peers are told of our NATs.
/// One survey at a time; its report serves everybody for a while, so that nobody can make the node
/// ask servers at will. A report of another network than the one that we are in serves nobody.
class ProbeService {
 public:
  /// What the node knows without asking anybody.
  struct Known {
    std::function<NatReport()> verdict;
    std::function<PortMappingReport()> port_mapping;
    std::function<std::vector<std::string>()> nat64_prefixes;
    std::function<std::uint64_t()> network_change_count;
  };
  ProbeService(Env& env, const Options& options, Known known);

  Task<http::Response> serve();
  /// A report that is not older than `max_age`. Errors: `Errc::timed_out` (the survey takes too
  /// long), `Errc::cancelled`.
  Task<nat::Report> report(Duration max_age);
  /// Errors: none.
  Task<> stop();
  /// Of all surveys.
  const stun::ClientMetrics& metrics() const { return metrics_; }

 private:
  Task<> look();
  bool is_good(Duration max_age) const;

  Env& env_;
  const Options& options_;
  Known known_;
  std::optional<nat::Report> report_;
  TimePoint report_at_;
  std::uint64_t report_network_ = 0;  ///< How often the network had changed before that survey.
  bool is_looking_ = false;
  stun::ClientMetrics metrics_;
  std::unique_ptr<nat::Survey> survey_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::app

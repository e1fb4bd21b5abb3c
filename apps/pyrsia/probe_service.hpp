#pragma once

#include "http/message.hpp"
#include "nat/behaviour/survey.hpp"
#include "options.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/nat.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace pyrsia::app {

/// `GET /probe`: what `pyrsia probe` asks the running node. One survey at a time; its report
/// serves everybody for a while, so that nobody can make the node ask servers at will.
class ProbeService {
 public:
  ProbeService(Env& env, const Options& options, std::function<NatReport()> verdict);

  Task<http::Response> serve();
  /// Errors: none.
  Task<> stop();
  /// Of all surveys.
  const stun::ClientMetrics& metrics() const { return metrics_; }

 private:
  Task<> look();

  Env& env_;
  const Options& options_;
  std::function<NatReport()> verdict_;
  std::optional<nat::Report> report_;
  TimePoint report_at_;
  bool is_looking_ = false;
  stun::ClientMetrics metrics_;
  std::unique_ptr<nat::Survey> survey_;
  TaskGroup tasks_;
};

/// Adds what a running node knows of itself.
void add_verdict(nat::Report& report, const NatReport& verdict);

}  // namespace pyrsia::app

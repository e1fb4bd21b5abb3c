#include "swarm/black_hole.hpp"

#include "swarm/dial_plan.hpp"

namespace pyrsia::swarm {
namespace {

/// Given up before, a dial says nothing. Our choice: a round trip takes longer on few paths, and
/// the transport that wins instead begins this much later.
constexpr Duration kLeastWait = std::chrono::milliseconds(250);

}  // namespace

std::optional<bool> evidence_of(Error error, Duration ran_for) {
  if (!error || closeness(error) >= closeness(Errc::refused)) return true;
  if (error == Errc::timed_out || error == Errc::unreachable) return false;
  if (error == Errc::cancelled && ran_for >= kLeastWait) return false;
  return std::nullopt;
}

void BlackHoleDetector::record(bool is_success) {
  if (is_success && is_black_hole()) {
    outcomes_.clear();
    successes_ = questions_ = 0;
  }
  outcomes_.push_back(is_success);
  successes_ += is_success ? 1U : 0U;
  if (outcomes_.size() <= rules_.window) return;
  successes_ -= outcomes_.front() ? 1U : 0U;
  outcomes_.pop_front();
}

bool BlackHoleDetector::holds_back() {
  if (!is_black_hole()) return false;
  return ++questions_ % rules_.probe_interval != 0;
}

}  // namespace pyrsia::swarm

#pragma once

#include <pyrsia/nat.hpp>
#include <pyrsia/time.hpp>

#include <optional>

namespace pyrsia::host {

/// A three-valued verdict that contrary evidence must wear down before it changes: the original
/// node's rule for AutoNAT v1. The first evidence counts at once.
class ConfidenceVerdict {
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

}  // namespace pyrsia::host

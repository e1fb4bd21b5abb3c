#include "host/confidence_verdict.hpp"

#include <algorithm>

namespace pyrsia::host {

bool ConfidenceVerdict::add(Reachability evidence, int max_confidence, TimePoint now) {
  last_evidence_ = now;
  if (evidence == status_) {
    confidence_ = std::min(confidence_ + 1, max_confidence);
    return false;
  }
  if (confidence_ > 0) {
    --confidence_;
    return false;
  }
  status_ = evidence;
  return true;
}

}  // namespace pyrsia::host

#pragma once

#include "nat/portmap/client.hpp"

namespace pyrsia::portmap {

/// Watches a router's clock: if it runs otherwise than ours, the router has restarted and forgotten
/// our mappings. Spec: RFC 6887, section 8.5, and RFC 6886, section 3.6, which allow the same.
/// A plain state machine.
class EpochWatch {
 public:
  /// Takes a new sample. False: the router has lost its state since the last one.
  bool add(const EpochSample& sample);
  void forget() { last_.reset(); }

 private:
  std::optional<EpochSample> last_;
};

/// When mappings are made anew after a restart: the first time at once, then, as long as the router
/// goes on to restart, after pauses that double. A clock that jumps in every answer would else be
/// asked without end. A plain state machine.
class RestartPace {
 public:
  /// A restart was noticed. Returns when to ask, `now` or later.
  TimePoint next(TimePoint now);

 private:
  std::optional<TimePoint> last_;  ///< What next() returned last.
  Duration pause_{0};
};

}  // namespace pyrsia::portmap

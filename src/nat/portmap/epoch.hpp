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

}  // namespace pyrsia::portmap

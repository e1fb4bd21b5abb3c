/// What an answer, and the dial-back that came or did not come with it, prove. Pure.
/// Spec: libp2p/specs, autonat/autonat-v2.md, "AutoNAT V2 Protocol".
#pragma once

#include "protocols/autonat_v2/dial_back_inbox.hpp"
#include "protocols/autonat_v2/wire.hpp"
#include "runtime/net.hpp"

#include <pyrsia/nat.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pyrsia::autonat_v2 {

/// A request of ours, as far as it matters for what its answer proves.
struct Asked {
  DialRequest request;
  swarm::ConnectionId over = 0;  ///< The connection that we asked over.
  TimePoint begin{};
  /// An address on one of these is ours without a NAT: a dial-back must arrive exactly there.
  std::vector<InterfaceAddress> interfaces;
};

struct Proof {
  std::optional<Multiaddr> address;  ///< That it is about; none: about none.
  Reachability verdict = Reachability::unknown;
  std::string reason;
};

/// True if a connection to `claimed` can have arrived as `connection`: it is inbound, direct and
/// younger than the request, and of the same kind and family.
bool is_consistent(const Asked& asked, const Multiaddr& claimed,
                   const swarm::ConnectionInfo& connection);

/// `dial_back` is null if no nonce has come. Only a nonce that came as it should makes an address
/// reachable; only E_DIAL_ERROR makes it unreachable.
Proof prove(const Asked& asked, const DialResponse& response, const ArrivedDialBack* dial_back);

}  // namespace pyrsia::autonat_v2

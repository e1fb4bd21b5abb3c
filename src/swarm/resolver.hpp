#pragma once

#include "runtime/env.hpp"

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>

#include <string>
#include <vector>

namespace pyrsia::swarm {

/// What the names of one dial may cost, so that a zone of the attacker's cannot keep us busy.
/// Figures: those of libp2p's own resolvers.
struct ResolveBudget {
  static constexpr int kMaxDepth = 4;             ///< /dnsaddr within /dnsaddr.
  static constexpr std::size_t kMaxRecords = 16;  ///< TXT records used of one answer.

  int lookups = 32;
  std::size_t addresses = 100;
};

/// An address with an IP in front.
struct ResolvedAddress {
  Multiaddr address;
  std::string name;  ///< The DNS name that stood there; empty: none did.
};

/// Turns an address with a name in front into those with an IP in front; one that has an IP stays
/// as it is. A secure WebSocket that names no server gets the name as its `/sni`: the certificate
/// is for that. `/dnsaddr` is followed through its TXT records. What cannot be resolved is left
/// out, as is `/p2p` at the end. `budget` must outlive the task. Has no timeout. Errors: those of
/// Env::resolve(), if nothing was found; `Errc::limit_reached` (budget).
Task<std::vector<ResolvedAddress>> resolve(Env& env, Multiaddr address, PeerId peer,
                                           ResolveBudget& budget);

}  // namespace pyrsia::swarm

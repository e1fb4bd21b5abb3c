#pragma once

#include "nat/behaviour/behaviour.hpp"
#include "nat/behaviour/nat64.hpp"
#include "runtime/env.hpp"

namespace pyrsia::nat {

/// What was found out about TCP, over one family.
struct TcpBehaviour {
  std::optional<bool> is_blocked;  ///< Nobody could be connected to.
  std::optional<Endpoint> local;   ///< Of the first connection.
  std::optional<Endpoint> mapped;
  std::optional<Dependence> mapping;
  std::optional<bool> mapping_varies;

  bool operator==(const TcpBehaviour&) const = default;
};

/// What it means where connections from one inner port were seen: at the server, at its other
/// port, at its other address and port. Nothing: that connection did not come about.
TcpBehaviour tcp_behaviour_of(const std::optional<Endpoint>& first,
                              const std::optional<Endpoint>& other_port,
                              const std::optional<Endpoint>& other_both);

/// Connects from one port to the STUN server at `server` and at its other address, as RFC 5780
/// calls it: `other`, or what it says itself. `nat64`: what servers are reached through. Each
/// connection is given `limit`. RFC 5382, REQ-1. Errors: `Errc::cancelled`.
Task<TcpBehaviour> probe_tcp(Env& env, Endpoint server, std::optional<Endpoint> other,
                             std::optional<Nat64Prefix> nat64, Duration limit);

}  // namespace pyrsia::nat

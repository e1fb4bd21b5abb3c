#pragma once

#include "runtime/env.hpp"

#include <optional>
#include <vector>

namespace pyrsia::portmap {

/// The network that a router is in: what is remembered is remembered of this.
struct NetworkId {
  Gateway gateway;
  InterfaceAddress local;
};

/// Our address beside the router of the default route: of IPv4, if there is one, else a global one
/// of IPv6. Nothing: there is no router to ask.
std::optional<NetworkId> main_network(Env& env);

/// PCP's anycast address: the nearest server that there is. RFC 7723.
inline const IpAddress kAnycast = IpAddress::v4({192, 0, 0, 9});
/// Where a router beyond the one with this outside is likely to be.
std::vector<IpAddress> likely_hops(const IpAddress& external);

}  // namespace pyrsia::portmap

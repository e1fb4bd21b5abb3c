#pragma once

#include "multi/address_class.hpp"
#include "runtime/env.hpp"

#include <optional>
#include <string>
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
/// The same for one address of ours. Nothing: it is none, or no default route leaves from it.
std::optional<NetworkId> network_of(Env& env, const IpAddress& local);

/// What no router can have outside: loopback, link-local, multicast, nothing at all.
bool is_lie(const AddressClassifier& classifier, const IpAddress& external);
/// That `router` says so, and what it means.
std::string words_of_lie(const IpAddress& router, const IpAddress& external);

/// PCP's anycast address: the nearest server that there is. RFC 7723.
inline const IpAddress kAnycast = IpAddress::v4({192, 0, 0, 9});
/// Where a router beyond the one with this outside is likely to be.
std::vector<IpAddress> likely_hops(const IpAddress& external);

}  // namespace pyrsia::portmap

#include "nat/portmap/place.hpp"

namespace pyrsia::portmap {

std::optional<NetworkId> main_network(Env& env) {
  std::optional<NetworkId> v6;
  const auto interfaces = env.interface_addresses();
  for (const auto& gateway : env.default_gateways()) {
    for (const auto& local : interfaces) {
      const bool is_here =
          local.interface_name == gateway.interface_name && local.ip.is_v6() == gateway.ip.is_v6();
      if (is_here && local.ip.is_v4()) return NetworkId{gateway, local};
      const bool is_global = AddressClassifier().classify(local.ip) == AddressClass::global;
      if (is_here && is_global && !v6) v6 = NetworkId{gateway, local};
    }
  }
  return v6;
}

std::optional<NetworkId> network_of(Env& env, const IpAddress& local) {
  const auto interfaces = env.interface_addresses();
  for (const auto& gateway : env.default_gateways())
    for (const auto& each : interfaces)
      if (each.ip == local && each.interface_name == gateway.interface_name &&
          each.ip.is_v6() == gateway.ip.is_v6())
        return NetworkId{gateway, each};
  return std::nullopt;
}

bool is_lie(const AddressClassifier& classifier, const IpAddress& external) {
  return classifier.classify(external) <= AddressClass::link_local &&
         !classifier.is_usable_by_others(external);
}

std::string words_of_lie(const IpAddress& router, const IpAddress& external) {
  return router.to_string() + " says that its outside address is " + external.to_string() +
         (external.is_unspecified() ? ": its way to the Internet is down" : ", which cannot be");
}

std::vector<IpAddress> likely_hops(const IpAddress& external) {
  std::vector<IpAddress> out{kAnycast};
  if (external.is_v6()) return out;
  const auto b = external.bytes();
  for (const std::uint8_t last : {1, 254}) {
    const auto ip = IpAddress::v4({b[0], b[1], b[2], last});
    if (ip != external) out.push_back(ip);
  }
  return out;
}

}  // namespace pyrsia::portmap

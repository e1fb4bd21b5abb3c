#include "transport/tcp/source.hpp"

#include <algorithm>

namespace pyrsia::transport::tcp {
namespace {

bool is_in_network_of(const IpAddress& remote, const IpAddress& local,
                      const std::vector<InterfaceAddress>& interfaces) {
  return std::ranges::any_of(interfaces, [&](const InterfaceAddress& each) {
    return each.ip == local && remote.is_in(local, each.prefix_bits);
  });
}

}  // namespace

std::optional<Endpoint> dial_source(const Endpoint& remote, const std::vector<Endpoint>& listeners,
                                    const std::vector<InterfaceAddress>& interfaces) {
  std::optional<Endpoint> unspecified;
  std::optional<Endpoint> elsewhere;
  int elsewhere_count = 0;
  for (const auto& each : listeners) {
    if (each.ip.is_v6() != remote.ip.is_v6()) continue;
    if (each.ip.is_unspecified()) {
      if (!unspecified) unspecified = each;
    } else if (each.ip.is_loopback()) {
      if (remote.ip.is_loopback()) return each;
    } else if (!remote.ip.is_loopback()) {
      if (is_in_network_of(remote.ip, each.ip, interfaces)) return each;
      elsewhere = each;
      ++elsewhere_count;
    }
  }
  if (unspecified) return unspecified;
  return elsewhere_count == 1 ? elsewhere : std::nullopt;
}

}  // namespace pyrsia::transport::tcp

#include "host/thin_waist.hpp"

namespace pyrsia::host {

Multiaddr thin_waist(const Multiaddr& address) {
  const auto bare = address.without_peer();
  const auto endpoint = bare.endpoint();
  if (!endpoint || bare.is_relayed()) return bare;
  return is_over_udp(bare) ? Multiaddr::udp(*endpoint) : Multiaddr::tcp(*endpoint);
}

bool is_over_udp(const Multiaddr& address) {
  return address.has(Protocol::udp);
}

}  // namespace pyrsia::host

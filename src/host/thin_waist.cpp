#include "host/thin_waist.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::host {
namespace {

constexpr unsigned kWitnessBytesV4 = 3;  // A /24.
constexpr unsigned kWitnessBytesV6 =
    6;  // A /48: what one site gets, for nothing at tunnel brokers.

}  // namespace

Multiaddr thin_waist(const Multiaddr& address) {
  const auto bare = address.without_peer();
  const auto endpoint = bare.endpoint();
  if (!endpoint || bare.is_relayed()) return bare;
  return is_over_udp(bare) ? Multiaddr::udp(*endpoint) : Multiaddr::tcp(*endpoint);
}

bool is_over_udp(const Multiaddr& address) {
  return address.has(Protocol::udp);
}

std::string witness_network(const IpAddress& ip) {
  const auto plain = ip.unmapped();
  if (plain.is_v4()) {
    std::array<std::uint8_t, 4> network{};
    std::copy_n(plain.bytes().begin(), kWitnessBytesV4, network.begin());
    return IpAddress::v4(network).to_string() + "/24";
  }
  std::array<std::uint8_t, 16> network{};
  std::copy_n(plain.bytes().begin(), kWitnessBytesV6, network.begin());
  return IpAddress::v6(network).to_string() + "/48";
}

}  // namespace pyrsia::host

#include "nat/stun/named_address.hpp"

#include "multi/address_class.hpp"

namespace pyrsia::stun {
namespace {

using enum AddressClass;

const IpAddress kThisNetwork;
const IpAddress kMulticastV4 = IpAddress::v4({224});
const IpAddress kBroadcast = IpAddress::v4({255, 255, 255, 255});
const IpAddress kMulticastV6 = IpAddress::v6({0xff});
const IpAddress kNat64 = IpAddress::v6({0x00, 0x64, 0xff, 0x9b});                   // RFC 6052
const IpAddress kLocalNat64 = IpAddress::v6({0x00, 0x64, 0xff, 0x9b, 0x00, 0x01});  // RFC 8215
const IpAddress kSiteLocal = IpAddress::v6({0xfe, 0xc0});                           // RFC 3879

/// An address and port that one host can have.
bool is_of_a_host(const Endpoint& endpoint) {
  const auto ip = endpoint.ip.unmapped();
  if (endpoint.port == 0 || ip.is_unspecified()) return false;
  if (ip.is_v6()) return !ip.is_in(kMulticastV6, 8);
  return !ip.is_in(kThisNetwork, 8) && !ip.is_in(kMulticastV4, 4) && ip != kBroadcast;
}

/// How close to us: behind a NAT64 that of the IPv4 address that it leads to.
AddressClass class_of(const IpAddress& ip) {
  if (ip.is_v6() && (ip.is_in(kLocalNat64, 48) || ip.is_in(kSiteLocal, 10))) return private_use;
  auto host = ip;
  if (ip.is_v6() && ip.is_in(kNat64, 96)) {
    const auto bytes = ip.bytes();
    host = IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  const auto address_class = AddressClassifier().classify(host);
  // Those for documentation and benchmarks: no network of ours has them, and in labs they stand for
  // the Internet.
  return address_class == unusable ? global : address_class;
}

}  // namespace

bool can_be_mapped(const Endpoint& mapped, const IpAddress& server) {
  return is_of_a_host(mapped) &&
         (!mapped.ip.unmapped().is_loopback() || server.unmapped().is_loopback());
}

bool may_be_named(const Endpoint& named, const IpAddress& server) {
  if (!is_of_a_host(named)) return false;
  return named.ip == server || class_of(named.ip) >= class_of(server);
}

}  // namespace pyrsia::stun

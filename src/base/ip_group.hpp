#pragma once

#include <pyrsia/ip.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace pyrsia {

/// The network that counts as one witness: "192.0.2.0/24", "2001:db8:1::/48" (what one site gets,
/// for nothing at tunnel brokers). Who holds one address of it can mostly have others (ADR 48).
std::string witness_network(const IpAddress& ip);

/// Whom an IP address is likely to belong to: an IPv4 address, an IPv6 /56. None for loopback,
/// which is not counted.
inline std::optional<IpAddress> ip_group(const IpAddress& ip) {
  const auto plain = ip.unmapped();
  if (plain.is_loopback()) return std::nullopt;
  if (plain.is_v4()) return plain;
  std::array<std::uint8_t, 16> network{};
  std::copy_n(plain.bytes().begin(), 7, network.begin());
  return IpAddress::v6(network);
}

/// Counts something for each group of IP addresses.
class IpGroupCounts {
 public:
  void add(const IpAddress& ip) {
    if (const auto group = ip_group(ip)) ++counts_[*group];
  }
  void remove(const IpAddress& ip) {
    const auto group = ip_group(ip);
    const auto found = group ? counts_.find(*group) : counts_.end();
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  std::size_t of(const IpAddress& ip) const {
    const auto group = ip_group(ip);
    const auto found = group ? counts_.find(*group) : counts_.end();
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  std::map<IpAddress, std::size_t> counts_;
};

}  // namespace pyrsia

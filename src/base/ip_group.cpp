#include "base/ip_group.hpp"

#include <algorithm>
#include <array>

namespace pyrsia {

std::string witness_network(const IpAddress& ip) {
  const auto plain = ip.unmapped();
  std::array<std::uint8_t, 16> network{};
  std::copy_n(plain.bytes().begin(), plain.is_v4() ? 3 : 6, network.begin());
  if (plain.is_v4())
    return IpAddress::v4({network[0], network[1], network[2], 0}).to_string() + "/24";
  return IpAddress::v6(network).to_string() + "/48";
}

}  // namespace pyrsia

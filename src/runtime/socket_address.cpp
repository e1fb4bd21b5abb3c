#include "runtime/socket_address.hpp"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace pyrsia {

SocketAddress::SocketAddress(const Endpoint& endpoint) {
  const auto bytes = endpoint.ip.bytes();
  if (endpoint.ip.is_v4()) {
    storage_.v4.sin_family = AF_INET;
    storage_.v4.sin_port = htons(endpoint.port);
    std::memcpy(&storage_.v4.sin_addr, bytes.data(), bytes.size());
    size_ = sizeof storage_.v4;
  } else {
    storage_.v6.sin6_family = AF_INET6;
    storage_.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&storage_.v6.sin6_addr, bytes.data(), bytes.size());
    size_ = sizeof storage_.v6;
  }
}

socklen_t* SocketAddress::size_to_fill() {
  size_ = sizeof storage_;
  return &size_;
}

bool SocketAddress::is_link_local_v6() const {
  if (family() != AF_INET6) return false;
  const auto* const ip = &storage_.v6.sin6_addr;
  return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip);
}

Endpoint SocketAddress::endpoint() const {
  const auto port = family() == AF_INET6 ? storage_.v6.sin6_port : storage_.v4.sin_port;
  return {ip_of(storage_.any).unmapped(), ntohs(port)};
}

IpAddress ip_of(const sockaddr& any) {
  if (any.sa_family == AF_INET6) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(any).sin6_addr, bytes.size());
    return IpAddress::v6(bytes);
  }
  std::array<std::uint8_t, 4> bytes{};
  if (any.sa_family == AF_INET)
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in&>(any).sin_addr, bytes.size());
  return IpAddress::v4(bytes);
}

unsigned interface_with(const IpAddress& ip) {
  unsigned index = 0;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return index;
  for (const auto* entry = list; entry && index == 0; entry = entry->ifa_next) {
    const auto family = entry->ifa_addr ? entry->ifa_addr->sa_family : AF_UNSPEC;
    if (family != AF_INET && family != AF_INET6) continue;
    if (ip_of(*entry->ifa_addr) == ip) index = ::if_nametoindex(entry->ifa_name);
  }
  ::freeifaddrs(list);
  return index;
}

Endpoint local_endpoint(int socket) {
  SocketAddress address;
  if (::getsockname(socket, address.data(), address.size_to_fill()) != 0) return {};
  return address.endpoint();
}

}  // namespace pyrsia

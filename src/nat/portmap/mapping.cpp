#include "nat/portmap/mapping.hpp"

namespace pyrsia::portmap {

std::string_view name(Transport transport) {
  return transport == Transport::tcp ? "tcp" : "udp";
}

std::string_view name(Method method) {
  switch (method) {
    case Method::pcp: return "pcp";
    case Method::nat_pmp: return "nat-pmp";
    case Method::upnp: return "upnp";
  }
  return "";
}

Result<Method> parse_method(std::string_view text) {
  for (const auto method : kMethods)
    if (name(method) == text) return method;
  return Errc::malformed;
}

std::string Port::to_string() const {
  return std::string(name(transport)) + " " + std::to_string(number);
}

}  // namespace pyrsia::portmap

#include "transport/ws/target.hpp"

#include "multi/websocket_address.hpp"

#include <cassert>

namespace pyrsia::transport::ws {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

/// Printable and no space: what may stand in a request line. Others are percent-encoded.
std::string path_of(BytesView raw) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  if (raw.empty() || raw.front() != '/') out += '/';
  for (const auto byte : raw) {
    const bool is_plain = byte > 0x20 && byte < 0x7f && byte != '"' && byte != '#' && byte != '%';
    if (is_plain) {
      out += static_cast<char>(byte);
    } else {
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return out;
}

}  // namespace

Target target_of(const Multiaddr& address, std::string_view host_name) {
  const auto endpoint = address.endpoint();
  assert(endpoint && address.is_websocket());
  Target target;
  const auto ip = endpoint->ip.to_string();
  const auto named = multi::server_name(address);
  const std::string dialed(host_name.empty() ? named.value_or("") : host_name);
  target.host = !dialed.empty() ? dialed : endpoint->ip.is_v6() ? "[" + ip + "]" : ip;
  target.server_name = named ? *named : !dialed.empty() ? dialed : ip;
  if (target.server_name.ends_with('.')) target.server_name.pop_back();  // TLS has no root.
  target.path = "/";
  for (const auto& [protocol, value] : address.components()) {
    if (protocol == Protocol::http_path) target.path = path_of(value);
  }
  const auto usual = address.is_secure_websocket() ? kHttpsPort : kHttpPort;
  if (endpoint->port != usual) target.host += ":" + std::to_string(endpoint->port);
  return target;
}

}  // namespace pyrsia::transport::ws

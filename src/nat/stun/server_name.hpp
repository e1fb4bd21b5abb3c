/// How people name a STUN server. Spec of the URIs: RFC 7064.
#pragma once

#include <pyrsia/ip.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyrsia::stun {

inline constexpr std::uint16_t kPort = 3478;     ///< Of STUN over UDP and TCP. RFC 8489, 18.6.
inline constexpr std::uint16_t kTlsPort = 5349;  ///< Of STUN over TLS.

struct ServerName {
  std::string host;             ///< A DNS name, or an IP address without brackets.
  std::uint16_t port = kPort;   ///< Never 0.
  bool is_tls = false;          ///< "stuns:"
  std::optional<IpAddress> ip;  ///< Of a host that is an IP address.
};

/// "HOST", "HOST:PORT", "[V6]:PORT", before it "stun:" or "stuns:" in any case. As a port number is
/// no host, "stun:3478" names a host "stun". Nothing: it is none of these.
std::optional<ServerName> parse_server_name(std::string_view text);

}  // namespace pyrsia::stun

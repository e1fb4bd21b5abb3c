#pragma once

#include <pyrsia/multiaddr.hpp>

#include <string>
#include <string_view>

namespace pyrsia::transport::ws {

/// What a WebSocket address asks a web server for.
struct Target {
  std::string host;         ///< With the port, where it is not the usual one.
  std::string server_name;  ///< Whose certificate it must have, if it is secure: a name or an IP.
  std::string path;         ///< As it is sent: begins with '/', percent-encoded.
};

/// Of an address for which is_websocket() is true and that has an IP in front; `host_name` is the
/// DNS name that led there, or empty. Of the names that there are HTTP is told the dialed one
/// first, TLS that of the `/sni`; without any both have the IP.
Target target_of(const Multiaddr& address, std::string_view host_name);

}  // namespace pyrsia::transport::ws

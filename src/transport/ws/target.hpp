#pragma once

#include <pyrsia/multiaddr.hpp>

#include <string>

namespace pyrsia::transport::ws {

/// What a WebSocket address asks a web server for.
struct Target {
  std::string host;  ///< With the port, where it is not the usual one.
  std::string path;  ///< As it is sent: begins with '/', percent-encoded.
};

/// Of an address for which is_websocket() is true and that has an IP in front. A `/sni` names the
/// host, as if the name had been dialed.
Target target_of(const Multiaddr& address);

}  // namespace pyrsia::transport::ws

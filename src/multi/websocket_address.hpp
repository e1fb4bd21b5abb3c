/// Names in the addresses of WebSockets. Spec: libp2p/specs, websockets; multiformats/multiaddr.
#pragma once

#include <pyrsia/multiaddr.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace pyrsia::multi {

/// `/wss`, the old spelling, as `/tls/ws`; any other address as it is.
Multiaddr with_tls_spelled_out(const Multiaddr& address);

/// The value of the first `/sni`.
std::optional<std::string> server_name(const Multiaddr& address);

/// `/tls/ws` as `/tls/sni/NAME/ws`, `/wss` too. One that names a server already, or has no TLS
/// under a WebSocket, stays as it is. `name` is a name that an address can have.
Multiaddr with_server_name(const Multiaddr& address, std::string_view name);

}  // namespace pyrsia::multi

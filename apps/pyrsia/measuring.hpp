#pragma once

#include "commands.hpp"
#include "identity.hpp"

#include <pyrsia/host.hpp>

#include <string>

namespace pyrsia::app {

/// The key that the command was given, or a new one that ends with the program.
Identity measuring_identity(const Options& options);

/// What a host is told that only measures: to listen nowhere and to serve nobody.
Config measuring_config(const Options& options);

/// The first path to `peer`, in words: "tcp, /noise, /yamux/1.0.0, direct, /ip4/… -> /ip4/…".
std::string path_text(const PathInfo& path);

/// "tcp", "quic-v1", "ws", "wss", …
std::string transport_name(const Multiaddr& address);

/// Connects to the peer that `address` ends in. `detail` and errors: those of Host::connect().
Task<> connect_to(Host& host, Multiaddr address, std::string* detail);

}  // namespace pyrsia::app

#pragma once

#include "runtime/net.hpp"

#include <optional>
#include <vector>

namespace pyrsia::transport::tcp {

/// From where to dial `remote`, so that it sees the port that we listen on: a listener on an IP of
/// the remote's own network, then a loopback one for a loopback remote, then the port of one on an
/// unspecified IP, then the only one on another specific IP. None: from an ephemeral port.
/// `interfaces` matters only where a listener has a specific IP.
std::optional<Endpoint> dial_source(const Endpoint& remote, const std::vector<Endpoint>& listeners,
                                    const std::vector<InterfaceAddress>& interfaces);

}  // namespace pyrsia::transport::tcp

#pragma once

#include <pyrsia/multiaddr.hpp>

namespace pyrsia::host {

/// What addresses of one socket have in common: "/ip4/…/tcp/…" of tcp, ws and wss, "/ip4/…/udp/…"
/// of quic-v1 and what else runs over UDP. Who reaches one of them reaches the port, and so all:
/// they share one verdict. Of a name, and of anything else, the address itself, without /p2p.
Multiaddr thin_waist(const Multiaddr& address);

/// True for an address over UDP.
bool is_over_udp(const Multiaddr& address);

}  // namespace pyrsia::host

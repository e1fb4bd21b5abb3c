/// Which addresses a server dials back. Pure.
/// Spec: libp2p/specs, autonat/autonat-v1.md, "Security considerations".
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>

#include <cstddef>
#include <vector>

namespace pyrsia::autonat {

/// What of `demanded` to dial: TCP addresses, the IP replaced by `observed`, so that a client can
/// direct our dials at nobody but itself; ending in the client's id, each once, at most `limit`.
/// Relayed ones, names, and those of another peer are left out.
std::vector<Multiaddr> dialable_addresses(const std::vector<Multiaddr>& demanded,
                                          const IpAddress& observed, const PeerId& client,
                                          std::size_t limit);

}  // namespace pyrsia::autonat

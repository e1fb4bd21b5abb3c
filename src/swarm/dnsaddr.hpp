/// TXT records that hold addresses. Spec: multiformats/multiaddr, DNSADDR.
#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>

#include <optional>
#include <string_view>

namespace pyrsia::swarm {

/// The address in one TXT record, "dnsaddr=<multiaddr>", as an answer to the question for `tail`:
/// what followed `/dnsaddr/<name>`. The record must end in `tail`; one that names another peer
/// than `peer` is left out. The answer keeps its `/p2p`, which a further `/dnsaddr` needs.
std::optional<Multiaddr> read_dnsaddr(std::string_view record, BytesView tail, const PeerId& peer);

}  // namespace pyrsia::swarm

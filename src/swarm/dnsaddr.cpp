#include "swarm/dnsaddr.hpp"

#include <algorithm>

namespace pyrsia::swarm {

std::optional<Multiaddr> read_dnsaddr(std::string_view record, BytesView tail, const PeerId& peer) {
  constexpr std::string_view kPrefix = "dnsaddr=";
  if (!record.starts_with(kPrefix)) return std::nullopt;
  const auto address = Multiaddr::parse(record.substr(kPrefix.size()));
  if (!address) return std::nullopt;
  const auto bytes = address->bytes();
  if (bytes.size() < tail.size() || !std::ranges::equal(bytes.last(tail.size()), tail))
    return std::nullopt;
  const auto named = address->peer_id();
  if (named && *named != peer) return std::nullopt;
  if (address->without_peer().empty()) return std::nullopt;
  return *address;
}

}  // namespace pyrsia::swarm

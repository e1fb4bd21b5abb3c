#include "protocols/autonat/dial_filter.hpp"

#include <algorithm>

namespace pyrsia::autonat {

std::vector<Multiaddr> dialable_addresses(const std::vector<Multiaddr>& demanded,
                                          const IpAddress& observed, const PeerId& client,
                                          std::size_t limit) {
  std::vector<Multiaddr> out;
  for (const auto& address : demanded) {
    if (out.size() == limit) break;
    // A kind that we cannot dial says nothing about the client, so it must not fail for it.
    if (!address.ip() || !address.is_plain_tcp() || address.port().value_or(0) == 0) continue;
    const auto named = address.peer_id();
    if (named && *named != client) continue;
    auto target = address.without_peer().with_ip(observed).with_peer(client);
    if (std::ranges::find(out, target) == out.end()) out.push_back(std::move(target));
  }
  return out;
}

}  // namespace pyrsia::autonat

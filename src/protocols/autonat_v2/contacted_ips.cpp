#include "protocols/autonat_v2/contacted_ips.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {

void ContactedIps::add(const Endpoint& endpoint, bool is_udp, TimePoint now) {
  add_key({is_udp, endpoint.ip, endpoint.port}, now);
  add_key({is_udp, endpoint.ip, 0}, now);
}

void ContactedIps::add_key(Key key, TimePoint now) {
  std::get<IpAddress>(key) = std::get<IpAddress>(key).unmapped();
  if (!ips_.contains(key) && ips_.size() >= kMaxIps) {
    std::erase_if(ips_, [&](const auto& entry) { return now - entry.second > kLifetime; });
    if (ips_.size() >= kMaxIps)
      ips_.erase(
          std::ranges::min_element(ips_, {}, [](const auto& entry) { return entry.second; }));
  }
  ips_[key] = now;
}

bool ContactedIps::contains_key(Key key, TimePoint now) const {
  std::get<IpAddress>(key) = std::get<IpAddress>(key).unmapped();
  const auto at = ips_.find(key);
  return at != ips_.end() && now - at->second <= kLifetime;
}

}  // namespace pyrsia::autonat_v2

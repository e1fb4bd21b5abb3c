#include "protocols/autonat_v2/contacted_ips.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {

void ContactedIps::add(const IpAddress& ip, bool is_udp, TimePoint now) {
  const std::pair key(is_udp, ip.unmapped());
  if (!ips_.contains(key) && ips_.size() >= kMaxIps) {
    std::erase_if(ips_, [&](const auto& entry) { return now - entry.second > kLifetime; });
    if (ips_.size() >= kMaxIps)
      ips_.erase(
          std::ranges::min_element(ips_, {}, [](const auto& entry) { return entry.second; }));
  }
  ips_[key] = now;
}

bool ContactedIps::contains(const IpAddress& ip, bool is_udp, TimePoint now) const {
  const auto at = ips_.find({is_udp, ip.unmapped()});
  return at != ips_.end() && now - at->second <= kLifetime;
}

}  // namespace pyrsia::autonat_v2

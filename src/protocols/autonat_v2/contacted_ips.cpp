#include "protocols/autonat_v2/contacted_ips.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {

void ContactedIps::add(const IpAddress& ip, TimePoint now) {
  const auto plain = ip.unmapped();
  if (!ips_.contains(plain) && ips_.size() >= kMaxIps) {
    std::erase_if(ips_, [&](const auto& entry) { return now - entry.second > kLifetime; });
    if (ips_.size() >= kMaxIps)
      ips_.erase(
          std::ranges::min_element(ips_, {}, [](const auto& entry) { return entry.second; }));
  }
  ips_[plain] = now;
}

bool ContactedIps::contains(const IpAddress& ip, TimePoint now) const {
  const auto at = ips_.find(ip.unmapped());
  return at != ips_.end() && now - at->second <= kLifetime;
}

}  // namespace pyrsia::autonat_v2

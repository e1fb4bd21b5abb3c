#include "protocols/autonat_v2/contacted_ips.hpp"

#include "base/ip_group.hpp"

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
    if (ips_.size() >= kMaxIps) forget_one();
  }
  ips_[key] = now;
}

void ContactedIps::forget_one() {
  const auto group_of = [](const auto& entry) {
    return ip_group(std::get<IpAddress>(entry.first));
  };
  std::map<std::optional<IpAddress>, std::size_t> counts;
  for (const auto& entry : ips_) ++counts[group_of(entry)];
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& each) { return each.second; });
  auto oldest = ips_.end();
  for (auto at = ips_.begin(); at != ips_.end(); ++at)
    if (group_of(*at) == most->first && (oldest == ips_.end() || at->second < oldest->second))
      oldest = at;
  ips_.erase(oldest);
}

bool ContactedIps::contains_key(Key key, TimePoint now) const {
  std::get<IpAddress>(key) = std::get<IpAddress>(key).unmapped();
  const auto at = ips_.find(key);
  return at != ips_.end() && now - at->second <= kLifetime;
}

}  // namespace pyrsia::autonat_v2

#include "protocols/autonat_v2/contacted_ips.hpp"

#include "base/ip_group.hpp"

#include <algorithm>
#include <cstddef>

namespace pyrsia::autonat_v2 {

void ContactedIps::add(const Endpoint& endpoint, bool is_udp, TimePoint now) {
  add_key({is_udp, endpoint.ip, endpoint.port}, now);
  add_key({is_udp, endpoint.ip, 0}, now);
}

void ContactedIps::add_key(Key key, TimePoint now) {
  std::get<IpAddress>(key) = std::get<IpAddress>(key).unmapped();
  if (!ips_.contains(key) && ips_.size() >= kMaxIps) {
    const auto worth = [now](const auto& entry) {
      const auto& contact = entry.second;
      const bool is_alive = now - contact.at <= kLifetime;
      return std::tuple(is_alive, -static_cast<std::ptrdiff_t>(*contact.of_source), contact.at);
    };
    forget(std::ranges::min_element(ips_, {}, worth));
  }
  const auto [at, is_new] = ips_.try_emplace(key);
  at->second.at = now;
  if (!is_new) return;
  at->second.of_source = &sources_[ip_group(std::get<IpAddress>(key))];
  ++*at->second.of_source;
}

void ContactedIps::forget(std::map<Key, Contact>::iterator at) {
  if (--*at->second.of_source == 0) sources_.erase(ip_group(std::get<IpAddress>(at->first)));
  ips_.erase(at);
}

bool ContactedIps::contains_key(Key key, TimePoint now) const {
  std::get<IpAddress>(key) = std::get<IpAddress>(key).unmapped();
  const auto at = ips_.find(key);
  return at != ips_.end() && now - at->second.at <= kLifetime;
}

}  // namespace pyrsia::autonat_v2

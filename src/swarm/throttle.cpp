#include "swarm/throttle.hpp"

namespace pyrsia::swarm {

Throttle::Throttle(const std::vector<ThrottleWindow>& windows) {
  for (const auto& limits : windows) windows_.push_back({limits, {}, {}, {}});
}

Throttle::Verdict Throttle::check(const PeerId& peer, const IpAddress& ip, TimePoint now) {
  auto verdict = Verdict::allowed;
  for (auto& window : windows_) {
    expire(window, now);
    if (window.entries.size() >= window.limits.all_peers) return Verdict::too_many;
    const auto count = window.counts.find(peer);
    if (count != window.counts.end() && count->second >= window.limits.one_peer)
      verdict = Verdict::too_many_of_peer;
    if (verdict == Verdict::allowed && window.ip_counts.of(ip) >= window.limits.one_ip)
      verdict = Verdict::too_many_of_ip;
  }
  return verdict;
}

void Throttle::add(const PeerId& peer, const IpAddress& ip, TimePoint now) {
  for (auto& window : windows_) {
    window.entries.push_back({now, peer, ip});
    ++window.counts[peer];
    window.ip_counts.add(ip);
  }
}

void Throttle::expire(Window& window, TimePoint now) {
  while (!window.entries.empty() && now - window.entries.front().at >= window.limits.length) {
    const auto& oldest = window.entries.front();
    const auto count = window.counts.find(oldest.peer);
    if (--count->second == 0) window.counts.erase(count);
    window.ip_counts.remove(oldest.ip);
    window.entries.pop_front();
  }
}

}  // namespace pyrsia::swarm

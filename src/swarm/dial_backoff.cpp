#include "swarm/dial_backoff.hpp"

#include <algorithm>

namespace pyrsia::swarm {

void DialBackoff::failed(const PeerId& peer, const Multiaddr& address, TimePoint now) {
  const std::pair key(peer, address);
  if (entries_.size() >= kMaxEntries && !entries_.contains(key)) {
    expire(now);
    if (entries_.size() >= kMaxEntries) {
      entries_.erase(std::ranges::min_element(
          entries_, {}, [](const auto& entry) { return entry.second.rests_until; }));
    }
  }
  auto& entry = entries_[key];
  const Duration rest = kFirst + std::chrono::seconds(1) * entry.failures * entry.failures;
  entry.rests_until = now + std::min(rest, kLongest);
  entry.failures = std::min(entry.failures + 1, 1000);
}

void DialBackoff::succeeded(const PeerId& peer, const Multiaddr& address) {
  entries_.erase(std::pair(peer, address));
}

bool DialBackoff::is_resting(const PeerId& peer, const Multiaddr& address, TimePoint now) const {
  const auto found = entries_.find(std::pair(peer, address));
  return found != entries_.end() && found->second.rests_until > now;
}

void DialBackoff::expire(TimePoint now) {
  std::erase_if(entries_,
                [now](const auto& entry) { return entry.second.rests_until + kLongest <= now; });
}

}  // namespace pyrsia::swarm

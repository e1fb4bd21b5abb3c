#include "protocols/identify/push_limiter.hpp"

#include <algorithm>

namespace pyrsia::identify {
namespace {

std::string prefix(const IpAddress& ip, std::size_t bytes) {
  const auto all = ip.bytes();
  return std::string(all.begin(), all.begin() + std::ptrdiff_t(bytes));
}

}  // namespace

bool PushLimiter::allow(const swarm::ConnectionInfo& connection, TimePoint now) {
  if (!take(all_, limits_.all, now)) return false;
  const auto remote = connection.remote.ip();
  if (!remote || connection.remote.is_relayed()) {
    const auto id = connection.peer.bytes();
    return take("p" + std::string(id.begin(), id.end()), limits_.relayed_peer, now);
  }
  const auto ip = remote->unmapped();
  if (ip.is_loopback()) return true;
  if (ip.is_v4()) return take("4" + prefix(ip, 3), limits_.ipv4_24, now);
  return take("s" + prefix(ip, 7), limits_.ipv6_56, now) &&
         take("l" + prefix(ip, 6), limits_.ipv6_48, now);
}

bool PushLimiter::take(Bucket& bucket, const Rate& rate, TimePoint now) {
  const auto passed = std::chrono::duration<double>(now - bucket.filled_at).count();
  bucket.tokens = std::min(rate.burst, bucket.tokens + passed * rate.per_second);
  bucket.filled_at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool PushLimiter::take(const std::string& key, const Rate& rate, TimePoint now) {
  if (!buckets_.contains(key) && buckets_.size() >= limits_.buckets) make_room(now);
  const auto [at, is_new] = buckets_.try_emplace(key, rate.burst, now);
  return take(at->second, rate, now);
}

void PushLimiter::make_room(TimePoint now) {
  // A bucket that was not used for this long is full again: forgetting it changes nothing.
  constexpr auto kRefill = std::chrono::seconds(50);
  const auto is_full = [&](const auto& entry) { return now - entry.second.filled_at >= kRefill; };
  std::erase_if(buckets_, is_full);
  // All in use: somebody owns many networks. The overall rate still holds.
  if (buckets_.size() >= limits_.buckets) buckets_.erase(buckets_.begin());
}

}  // namespace pyrsia::identify

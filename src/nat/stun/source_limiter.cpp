#include "nat/stun/source_limiter.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace pyrsia::stun {
namespace {

/// The finisher of SplitMix64: every bit of the input moves every bit of the output.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint32_t milliseconds_of(TimePoint now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
}

/// What a probe of a NAT asks in its longest round, retransmissions aside.
constexpr std::uint32_t kMinBurst = 48;

}  // namespace

SourceLimit limit_of(std::uint32_t per_second) {
  SourceLimit limit;
  limit.per_second = per_second;
  limit.burst = std::max(2 * per_second, kMinBurst);
  return limit;
}

SourceLimiter::SourceLimiter(const SourceLimit& limit, std::uint64_t secret)
    : limit_(limit), secret_(secret) {
  // What is left is counted in thousandths, in 32 bits.
  limit_.burst = std::clamp(limit_.burst, 1U, 4'000'000U);
  const auto count = limit_.per_second == 0 ? 0 : std::max(limit.max_sources, kPlacesOfASet);
  places_.resize(count == 0 ? 0 : std::bit_ceil(count));
}

std::uint64_t SourceLimiter::tag_of(const IpAddress& source) const {
  std::uint64_t network = 0;  // Of IPv6 the /64: all of it belongs to one customer.
  std::memcpy(&network, source.bytes().data(), source.is_v4() ? 4 : 8);
  return mixed(network ^ secret_) | 1;
}

bool SourceLimiter::allow(const IpAddress& source, std::uint32_t cost, TimePoint now) {
  if (places_.empty()) return true;
  const auto tag = tag_of(source);
  const auto time = milliseconds_of(now);
  const auto set = tag >> 20 & (places_.size() / kPlacesOfASet - 1);
  const auto first = places_.begin() + static_cast<std::ptrdiff_t>(set * kPlacesOfASet);
  const auto last = first + kPlacesOfASet;
  auto place = std::find_if(first, last, [&](const Place& p) { return p.tag == tag; });
  const auto full = std::uint64_t(limit_.burst) * 1000;
  if (place == last) {
    const auto silence = [&](const Place& p) { return p.tag == 0 ? ~0U : time - p.milliseconds; };
    place = std::max_element(
        first, last, [&](const Place& a, const Place& b) { return silence(a) < silence(b); });
    *place = {tag, time, static_cast<std::uint32_t>(full)};
  }
  const std::uint64_t gained = std::uint64_t(time - place->milliseconds) * limit_.per_second;
  const auto left = std::min(full, place->thousandths + gained);
  place->milliseconds = time;
  const auto price = std::uint64_t(cost) * 1000;
  place->thousandths = static_cast<std::uint32_t>(left < price ? left : left - price);
  return left >= price;
}

}  // namespace pyrsia::stun

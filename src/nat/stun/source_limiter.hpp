#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstdint>
#include <vector>

namespace pyrsia::stun {

struct SourceLimit {
  /// Of one source: an IPv4 address, an IPv6 /64. 0: no limit.
  std::uint32_t per_second = 200;
  std::uint32_t burst = 400;
  /// Sources that are remembered, 16 bytes each; rounded up to a power of two.
  std::size_t max_sources = 16384;
};

/// Of a source that may ask so many times a second; 0: no limit. Two seconds' worth at once, and
/// never less than one client asks that finds out how its NAT behaves.
SourceLimit limit_of(std::uint32_t per_second);

/// Counts what each source asks for, in memory that never grows: of four sources that share a place
/// the one that was silent for longest is forgotten. Places depend on a secret, so that nobody can
/// push out another at will; a million forged sources get their one answer each and no more.
class SourceLimiter {
 public:
  SourceLimiter(const SourceLimit& limit, std::uint64_t secret);

  /// Takes `cost` from what `source` may still ask for. False: it has used that up.
  bool allow(const IpAddress& source, std::uint32_t cost, TimePoint now);
  std::size_t memory_bytes() const { return places_.size() * sizeof(Place); }

 private:
  struct Place {
    std::uint64_t tag = 0;  ///< 0: empty.
    std::uint32_t milliseconds = 0;
    std::uint32_t thousandths = 0;  ///< Of what is left.
  };
  static constexpr std::size_t kPlacesOfASet = 4;

  std::uint64_t tag_of(const IpAddress& source) const;

  SourceLimit limit_;
  std::uint64_t secret_;
  std::vector<Place> places_;
};

}  // namespace pyrsia::stun

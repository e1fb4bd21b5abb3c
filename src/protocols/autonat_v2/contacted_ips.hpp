/// Which IP addresses this node has sent something to: NATs and firewalls may let them in. By TCP
/// and UDP apart, as their filters are (RFC 4787, section 5; RFC 5382, 4.3).
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <map>
#include <utility>

namespace pyrsia::autonat_v2 {

/// Remembers IPs for as long as a NAT keeps its holes open. A plain container that takes `now`.
/// At its limit it forgets the one that was contacted longest ago.
class ContactedIps {
 public:
  /// RFC 5382, REQ-5: no NAT shall keep an idle TCP mapping for less, and few keep it for longer.
  static constexpr Duration kLifetime = std::chrono::minutes(124);
  static constexpr std::size_t kMaxIps = 4096;

  void add(const IpAddress& ip, bool is_udp, TimePoint now);
  bool contains(const IpAddress& ip, bool is_udp, TimePoint now) const;
  std::size_t size() const { return ips_.size(); }

 private:
  std::map<std::pair<bool, IpAddress>, TimePoint> ips_;  ///< By is_udp and IP.
};

}  // namespace pyrsia::autonat_v2

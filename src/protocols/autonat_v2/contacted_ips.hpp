/// Which IP addresses this node has sent something to: NATs and firewalls may let them in.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <map>

namespace pyrsia::autonat_v2 {

/// Remembers IPs for as long as a NAT keeps its holes open. A plain container that takes `now`.
/// At its limit it forgets the one that was contacted longest ago.
class ContactedIps {
 public:
  /// RFC 5382, REQ-5: no NAT shall keep an idle TCP mapping for less, and few keep it for longer.
  static constexpr Duration kLifetime = std::chrono::minutes(124);
  static constexpr std::size_t kMaxIps = 4096;

  void add(const IpAddress& ip, TimePoint now);
  bool contains(const IpAddress& ip, TimePoint now) const;
  std::size_t size() const { return ips_.size(); }

 private:
  std::map<IpAddress, TimePoint> ips_;
};

}  // namespace pyrsia::autonat_v2

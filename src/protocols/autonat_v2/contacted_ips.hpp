/// Which IP addresses this node has sent something to, and which of their ports: NATs and firewalls
/// may let them in. By TCP and UDP apart, as their filters are (RFC 4787, section 5; RFC
/// 5382, 4.3).
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

namespace pyrsia::autonat_v2 {

/// Remembers IPs for as long as a NAT keeps its holes open. A plain container that takes `now`.
/// At its limit it forgets, of the sources that have most of it (ip_group()), what was contacted
/// longest ago: a peer who has us dial all his addresses displaces only those.
class ContactedIps {
 public:
  ContactedIps() = default;
  ContactedIps(const ContactedIps&) = delete;
  ContactedIps& operator=(const ContactedIps&) = delete;

  /// RFC 5382, REQ-5: no NAT shall keep an idle TCP mapping for less, and few keep it for longer.
  static constexpr Duration kLifetime = std::chrono::minutes(124);
  static constexpr std::size_t kMaxIps = 4096;  ///< And ports of them.

  void add(const IpAddress& ip, bool is_udp, TimePoint now) { add_key({is_udp, ip, 0}, now); }
  /// The port, and its IP.
  void add(const Endpoint& endpoint, bool is_udp, TimePoint now);
  bool contains(const IpAddress& ip, bool is_udp, TimePoint now) const {
    return contains_key({is_udp, ip, 0}, now);
  }
  bool contains(const Endpoint& endpoint, bool is_udp, TimePoint now) const {
    return contains_key({is_udp, endpoint.ip, endpoint.port}, now);
  }
  std::size_t size() const { return ips_.size(); }

 private:
  using Key = std::tuple<bool, IpAddress, std::uint16_t>;  ///< Is_udp, IP, port; 0: any port.
  struct Contact {
    TimePoint at;
    std::size_t* of_source = nullptr;  ///< In sources_.
  };
  void add_key(Key key, TimePoint now);
  bool contains_key(Key key, TimePoint now) const;
  void forget(std::map<Key, Contact>::iterator at);

  std::map<Key, Contact> ips_;
  std::map<std::optional<IpAddress>, std::size_t> sources_;  ///< How much of it each has.
};

}  // namespace pyrsia::autonat_v2

/// IPv6-only networks with NAT64: which prefix, and how IPv4 addresses look behind it.
/// Spec: RFC 6052 (addresses), RFC 7050 (discovery). For the prefix in router advertisements
/// (RFC 8781) see NetworkWatcher::nat64_prefixes().
#pragma once

#include "runtime/env.hpp"

#include <pyrsia/ip.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pyrsia::nat {

struct Nat64Prefix {
  IpAddress ip;        ///< IPv6; the bits behind the prefix are 0.
  unsigned bits = 96;  ///< 32, 40, 48, 56, 64 or 96.

  std::string to_string() const;  ///< "64:ff9b::/96"
  bool operator==(const Nat64Prefix&) const = default;
};

/// `v4` as this network's hosts reach it. RFC 6052, 2.2.
IpAddress synthesize(const Nat64Prefix& prefix, const IpAddress& v4);
/// The same for an endpoint; one of IPv6 stays as it is.
Endpoint through(const Nat64Prefix& prefix, Endpoint endpoint);
/// The reverse of synthesize(); an address without the prefix stays as it is.
IpAddress behind(const Nat64Prefix& prefix, const IpAddress& ip);
/// The reverse of Nat64Prefix::to_string(). Nothing: it is none.
std::optional<Nat64Prefix> nat64_prefix_named(std::string_view text);
/// The prefix in the addresses that ipv4only.arpa has here. RFC 7050, 3. Nothing: there is none.
std::optional<Nat64Prefix> prefix_in(std::span<const IpAddress> addresses);

/// Only a NAT64 could lead to IPv4 from here. A private IPv4 address leads nowhere without a
/// router: bridges of containers have one. Where a CLAT gives IPv4 (RFC 6877) there is such a
/// route.
bool has_ipv6_only(Env& env);
/// Does an interface have an IPv6 address that reaches further than its link?
bool has_ipv6_address(Env& env);

/// Asks the resolver. Nothing: no NAT64 here. Has no timeout but the resolver's.
/// Errors: `Errc::timed_out`, `Errc::unavailable`, `Errc::cancelled`.
Task<std::optional<Nat64Prefix>> find_nat64(Env& env);

}  // namespace pyrsia::nat

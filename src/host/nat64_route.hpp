#pragma once

#include "nat/behaviour/nat64.hpp"

#include <pyrsia/log.hpp>

namespace pyrsia::host {

/// The way to IPv4 from a network that has only IPv6, through its NAT64. Peers are known by their
/// IPv4 addresses, as nobody's DNS64 has named them. RFC 6052 (addresses), RFC 7050 and RFC 8781
/// (how the prefix is learned).
class Nat64Route {
 public:
  Nat64Route(Env& env, Logger log) : env_(env), log_(log) {}

  /// Learns the prefix again, where this machine has no IPv4: from what routers advertise, else by
  /// DNS, for 1 s at most. Without an answer it stays as it was. Errors: `Errc::cancelled`.
  Task<> learn(std::vector<AdvertisedNat64> advertised);
  /// The last question had no answer: ask again soon.
  bool is_unanswered() const { return is_unanswered_; }
  /// `v4` as it is dialed here. Nothing: as it is.
  std::optional<IpAddress> synthesize(const IpAddress& v4) const;

 private:
  Env& env_;
  Logger log_;
  std::optional<nat::Nat64Prefix> prefix_;
  bool is_unanswered_ = false;
};

}  // namespace pyrsia::host

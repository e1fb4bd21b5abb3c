#pragma once

#include "nat/stun/client.hpp"

#include <set>

namespace pyrsia::stun {

/// Where a client goes on error responses: at most Client::kMaxMoves times and never twice to the
/// same server. Spec: RFC 8489, 10.
class Moves {
 public:
  explicit Moves(const Endpoint& first) : seen_{first}, at_(first.ip) {}

  /// `response` is an error response. Errors: `Errc::protocol_violation` (a loop, too many, no
  /// address of the same family, or one that it may not name: see may_be_named()), `Errc::refused`
  /// (any error but 300).
  Result<Endpoint> next(const Response& response);

 private:
  std::set<Endpoint> seen_;
  IpAddress at_;  ///< Of the server that was asked last.
};

}  // namespace pyrsia::stun

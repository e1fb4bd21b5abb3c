#pragma once

#include "nat/stun/client.hpp"

#include <set>

namespace pyrsia::stun {

/// Where a client goes on error responses: at most Client::kMaxMoves times and never twice to the
/// same server. Spec: RFC 8489, 10.
class Moves {
 public:
  explicit Moves(const Endpoint& first) : seen_{first}, is_v6_(first.ip.is_v6()) {}

  /// `response` is an error response. Errors: `Errc::protocol_violation` (a loop, too many, or no
  /// address of the same family), `Errc::refused` (any error but 300).
  Result<Endpoint> next(const Response& response);

 private:
  std::set<Endpoint> seen_;
  bool is_v6_;
};

}  // namespace pyrsia::stun

#include "nat/stun/moves.hpp"

namespace pyrsia::stun {

Result<Endpoint> Moves::next(const Response& response) {
  if (response.error != 300) return Errc::refused;
  const auto to = response.alternate_server;
  if (!to || to->port == 0 || to->ip.is_unspecified() || to->ip.is_v6() != is_v6_)
    return Errc::protocol_violation;
  if (seen_.size() > Client::kMaxMoves || !seen_.insert(*to).second)
    return Errc::protocol_violation;
  return *to;
}

}  // namespace pyrsia::stun

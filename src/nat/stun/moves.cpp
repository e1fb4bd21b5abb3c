#include "nat/stun/moves.hpp"

#include "nat/stun/named_address.hpp"

namespace pyrsia::stun {

Result<Endpoint> Moves::next(const Response& response) {
  if (response.error != 300) return Errc::refused;
  const auto to = response.alternate_server;
  if (!to || to->ip.is_v6() != at_.is_v6() || !may_be_named(*to, at_))
    return Errc::protocol_violation;
  if (seen_.size() > Client::kMaxMoves || !seen_.insert(*to).second)
    return Errc::protocol_violation;
  at_ = to->ip;
  return *to;
}

}  // namespace pyrsia::stun

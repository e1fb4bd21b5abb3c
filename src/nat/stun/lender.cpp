#include "nat/stun/lender.hpp"

#include <algorithm>

namespace pyrsia::stun {

Lender::Lender(PeerId self, std::vector<Member> members, const LenderConfig& config,
               std::uint64_t secret)
    : self_(std::move(self)),
      members_(std::move(members)),
      config_(config),
      limiter_(config.limit, secret) {}

std::optional<Lend> Lender::take(const Message& message, const IpAddress& from, TimePoint now,
                                 WallTime wall_now) {
  const auto is_from = [&](const Member& member) { return member.ip == from; };
  if (std::ranges::none_of(members_, is_from)) {
    metrics_.stranger.add();
    return {};
  }
  if (!limiter_.allow(from, 1, now)) {
    metrics_.limited.add();
    return {};
  }
  const auto lend = decode_lend(message);
  if (!lend) {
    metrics_.malformed.add();
    return {};
  }
  const auto is_by = [&](const Member& member) {
    return member.ip == from && member.peer == lend->from;
  };
  if (lend->to != self_ || std::ranges::none_of(members_, is_by)) {
    metrics_.stranger.add();
    return {};
  }
  if (lend->expires_at <= wall_now || lend->expires_at > wall_now + config_.max_lifetime) {
    metrics_.expired.add();
    return {};
  }
  if (!check_lend_signature(message, lend->from)) {
    metrics_.forged.add();
    return {};
  }
  if (!remember(lend->nonce, lend->expires_at, wall_now)) {
    metrics_.replayed.add();
    return {};
  }
  metrics_.accepted.add();
  return lend->lend;
}

bool Lender::remember(const TransactionId& nonce, WallTime expires_at, WallTime now) {
  if (nonces_.size() >= config_.max_nonces)
    std::erase_if(nonces_, [&](const auto& entry) { return entry.second <= now; });
  if (nonces_.size() >= config_.max_nonces) return false;
  return nonces_.emplace(nonce, expires_at).second;
}

}  // namespace pyrsia::stun

#include "nat/stun/lender.hpp"

#include <algorithm>

namespace pyrsia::stun {

std::string_view in_words(Refusal refusal) {
  switch (refusal) {
    using enum Refusal;
    case not_a_member: return "it comes from an address that no --stun-member names";
    case wrong_peer:
      return "it is not by the peer id that --stun-member names, or not meant for us";
    case limited: return "the member asks too often";
    case forged: return "its signature is wrong";
    case expired: return "it has expired, or is from the future: do the clocks agree?";
    case replayed: return "it was there before";
    case unreachable: return "its client is in another kind of network than the member that asks";
    case no_port: return "we do not listen at the port that it asks for";
    case malformed: return "it cannot be read";
  }
  return "unknown";
}

Lender::Lender(PeerId self, std::vector<Member> members, const LenderConfig& config,
               std::uint64_t secret)
    : self_(std::move(self)),
      members_(std::move(members)),
      config_(config),
      limiter_(config.limit, secret) {}

Lender::Decision Lender::take(const Message& message, const IpAddress& from, TimePoint now,
                              WallTime wall_now) {
  const auto is_from = [&](const Member& member) { return member.ip == from; };
  if (std::ranges::none_of(members_, is_from)) return refuse(Refusal::not_a_member);
  if (!limiter_.allow(from, 1, now)) return refuse(Refusal::limited);
  const auto lend = decode_lend(message);
  if (!lend) return refuse(Refusal::malformed);
  const auto is_by = [&](const Member& member) {
    return member.ip == from && member.peer == lend->from;
  };
  if (lend->to != self_ || std::ranges::none_of(members_, is_by))
    return refuse(Refusal::wrong_peer);
  if (lend->expires_at <= wall_now || lend->expires_at > wall_now + config_.max_lifetime)
    return refuse(Refusal::expired);
  if (!is_reachable(classifier_, from, lend->lend.client.ip)) return refuse(Refusal::unreachable);
  if (!check_lend_signature(message, lend->from)) return refuse(Refusal::forged);
  if (!remember(*lend, wall_now)) return refuse(Refusal::replayed);
  metrics_.accepted.add();
  return {lend->lend};
}

Lender::Decision Lender::refuse(Refusal refusal) {
  counter_of(refusal).add();
  return {std::nullopt, refusal};
}

Counter& Lender::counter_of(Refusal refusal) {
  switch (refusal) {
    using enum Refusal;
    case not_a_member:
    case wrong_peer: return metrics_.stranger;
    case limited: return metrics_.limited;
    case forged: return metrics_.forged;
    case expired: return metrics_.expired;
    case replayed: return metrics_.replayed;
    case unreachable: return metrics_.unreachable;
    case no_port: return metrics_.no_port;
    case malformed: break;
  }
  return metrics_.malformed;
}

bool Lender::remember(const LendMessage& message, WallTime now) {
  auto& nonces = nonces_[message.from];
  if (nonces.size() >= config_.max_nonces)
    std::erase_if(nonces, [&](const auto& entry) { return entry.second <= now; });
  if (nonces.size() >= config_.max_nonces) return false;
  return nonces.emplace(message.nonce, message.expires_at).second;
}

}  // namespace pyrsia::stun

#include "nat/behaviour/hop_trace.hpp"

namespace pyrsia::nat {
namespace {

/// One lost datagram must not look like an answer.
constexpr int kTellingSilence = 2;

}  // namespace

const HopTrace::Fate& HopTrace::fate(Target target, std::size_t hop) const {
  return fates_[static_cast<std::size_t>(target)][hop - 1];
}

HopTrace::Fate& HopTrace::fate(Target target, std::size_t hop) {
  return fates_[static_cast<std::size_t>(target)][hop - 1];
}

bool HopTrace::is_wanted(Target target, std::size_t hop) const {
  const auto& mapped = fate(Target::mapped, hop);
  const bool is_mapped_clear = mapped.expired_at || mapped.is_refused;
  if (target == Target::mapped) return !is_mapped_clear;
  const auto& server = fate(Target::server, hop);
  const bool is_check = hop == 1 && !is_mapped_clear;
  return !server.is_refused && (is_check || !server.expired_at);
}

void HopTrace::sent(Target target, std::size_t hop) {
  ++fate(target, hop).sent_count;
}

void HopTrace::take(Target target, std::size_t hop, const UdpError& error) {
  auto& fate = this->fate(target, hop);
  // A firewall on the way that says so has not got the address.
  if (error.kind == UdpError::Kind::refused && error.from == error.to.ip) fate.is_refused = true;
  if (error.kind != UdpError::Kind::expired) return;
  ++fate.expired_count;
  if (!fate.expired_at) fate.expired_at = error.from;
}

std::optional<bool> HopTrace::judge_first() const {
  for (std::size_t hop = 2; hop <= kMaxHops; ++hop)
    if (fate(Target::mapped, hop).expired_at) return false;
  const auto& mapped = fate(Target::mapped, 1);
  if (mapped.is_refused && !mapped.expired_at) return true;
  if (mapped.expired_at) {
    // It may have this address, and send on inside what comes for it (a port forward). But where a
    // private network is beyond it, the public address is further away.
    const auto& next = fate(Target::server, 2).expired_at;
    return next && is_private(*next) ? std::optional(false) : std::nullopt;
  }
  const bool is_silent = mapped.sent_count >= kTellingSilence &&
                         fate(Target::server, 1).expired_count >= kTellingSilence;
  return is_silent ? std::optional(true) : std::nullopt;
}

HopFacts HopTrace::facts() const {
  HopFacts facts;
  for (std::size_t hop = 1; hop <= kMaxHops; ++hop) {
    const auto& router = fate(Target::server, hop).expired_at;
    if (!router) continue;
    facts.routers.resize(hop);
    facts.routers.back() = router;
  }
  for (std::size_t hop = 1; hop <= kMaxHops; ++hop)
    if (fate(Target::mapped, hop).expired_at) facts.passed_count = hop;
  facts.first_has_mapped = judge_first();
  return facts;
}

}  // namespace pyrsia::nat

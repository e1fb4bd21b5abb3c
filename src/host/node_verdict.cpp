// From the verdicts on addresses to the one on the node.
#include "host/reachability.hpp"
#include "host/thin_waist.hpp"

#include <algorithm>

namespace pyrsia::host {
namespace {

/// Our limit: of changes that nobody has taken yet.
constexpr std::size_t kMaxAddressChanges = 256;

}  // namespace

std::optional<StatusChanged> ReachabilityTracker::settle(TimePoint now) {
  note_address_changes(now);
  const auto old = node_;
  node_ = judge_node(now);
  if (node_.basis == Basis::nat_mapping && has_candidates()) nat_judged_at_ = now;
  if (node_.status == old.status) return {};
  if (node_.status == Reachability::unknown && old.address && why_unknown_.empty())
    why_unknown_ = why_gone(*old.address).value_or("what was known is too old");
  if (node_.status != Reachability::unknown) why_unknown_.clear();
  StatusChanged change;
  change.old_status = old.status;
  change.new_status = node_.status;
  change.address = node_.address;
  change.reason = node_reason(now);
  change.evidence = verdict_evidence(now);
  return change;
}

ReachabilityTracker::NodeVerdict ReachabilityTracker::judge_node(TimePoint now) const {
  // That nobody is left who sees us is no evidence.
  if (node_.basis == Basis::nat_mapping && !has_candidates() &&
      now - nat_judged_at_ <= config_.evidence_lifetime)
    return node_;
  const auto by_addresses = judge_by_addresses(now);
  const bool rests_on_nat = by_addresses.basis == Basis::nat_mapping;
  const bool has_v1 = v1_.status() != Reachability::unknown;
  if (by_addresses.status != Reachability::unknown && !(rests_on_nat && has_v1))
    return by_addresses;
  if (!has_v1) return by_addresses;
  NodeVerdict verdict{v1_.status(), v1_.confidence(), false, Basis::v1, v1_address_};
  verdict.is_confirmed = support(v1_.status(), nullptr, now).groups >= 3;
  return verdict;
}

ReachabilityTracker::NodeVerdict ReachabilityTracker::judge_by_addresses(TimePoint now) const {
  NodeVerdict best;
  bool is_all_unreachable = true;
  bool is_by_nat = false;
  int least = config_.max_confidence;
  std::size_t refused = 0;
  for (const auto& [address, state] : addresses_) {
    if (!counts(address, state)) continue;
    const auto* judge = judge_of(state);
    const auto status = judge ? judge->status() : Reachability::unknown;
    if (status == Reachability::reachable) {
      const bool is_better = best.status != status || judge->confidence() > best.confidence;
      if (is_better)
        best = {status, judge->confidence(), judge->is_confirmed(), Basis::addresses, address};
    } else if (status == Reachability::unreachable) {
      ++refused;
      least = std::min(least, judge->confidence());
    } else if (is_beyond_dependent_nat(address, state)) {
      ++refused;
      is_by_nat = true;
      const auto& nat = mappings_.at({address.ip()->is_v6(), is_over_udp(address)});
      least = std::min(least, int(std::min<std::size_t>(nat.networks, 3)));
    } else if (judge ? judge->is_known_ip_only() || !judge->is_empty()
                     : now - state.first_seen < config_.patience) {
      is_all_unreachable = false;
    }
  }
  if (best.status == Reachability::reachable || refused == 0 || !is_all_unreachable) return best;
  return {Reachability::unreachable, least, least >= config_.max_confidence,
          is_by_nat ? Basis::nat_mapping : Basis::addresses, std::nullopt};
}

void ReachabilityTracker::note_address_changes(TimePoint now) {
  for (auto& [address, state] : addresses_) {
    const auto status = status_of(state);
    const auto* judge = judge_of(state);
    const bool is_confirmed = judge && judge->is_confirmed();
    if (status == state.told && is_confirmed == state.told_confirmed) continue;
    if (address_changes_.size() >= kMaxAddressChanges)
      address_changes_.erase(address_changes_.begin());
    auto verdict = address_verdict(address, state, now);
    address_changes_.push_back({address, state.told, status, is_confirmed,
                                std::move(verdict.reason), std::move(verdict.evidence)});
    state.told = status;
    state.told_confirmed = is_confirmed;
  }
}

std::vector<AddressVerdictChanged> ReachabilityTracker::take_address_changes() {
  return std::exchange(address_changes_, {});
}

/// It is ours now, or it was judged and nothing says that we have lost it. Unreachable ones of the
/// past count only while nobody sees us anywhere: symmetric NATs leave many behind.
bool ReachabilityTracker::counts(const Multiaddr& address, const Address& state) const {
  if (state.is_candidate) return true;
  const auto status = status_of(state);
  if (status == Reachability::unknown || why_gone(address)) return false;
  return status == Reachability::reachable || !has_candidates();
}

bool ReachabilityTracker::has_candidates() const {
  return std::ranges::any_of(addresses_,
                             [](const auto& entry) { return entry.second.is_candidate; });
}

/// A confirmed address may be unseen for a while: those who saw it have left, which is no evidence.
/// It is gone if it was ours to give up, or if we are seen at another IP instead, by more than one
/// network where more than one can be asked.
std::optional<std::string> ReachabilityTracker::why_gone(const Multiaddr& address) const {
  const auto at = addresses_.find(address);
  if (at == addresses_.end()) return "the confirmed address is no longer ours";
  if (at->second.is_candidate) return {};
  if (at->second.source != "observed") return "the confirmed address is no longer ours";
  const auto old_ip = address.ip();
  bool is_seen_elsewhere = false;
  for (const auto& [other, state] : addresses_) {
    const auto ip = other.ip();
    if (!state.is_candidate || state.observers == 0 || !ip || !old_ip) continue;
    if (*ip == *old_ip) return {};
    const bool is_believed = state.observers >= 2 || networks_.size() < 2;
    is_seen_elsewhere |= is_believed && ip->is_v6() == old_ip->is_v6();
  }
  if (!is_seen_elsewhere) return {};
  return "peers see us at another IP address now";
}

/// Peers saw us there, but each sees another port: what one has seen is of no use to another. Of
/// two who disagree one may lie.
bool ReachabilityTracker::is_beyond_dependent_nat(const Multiaddr& address,
                                                  const Address& state) const {
  const auto ip = address.ip();
  if (!ip || state.source != "observed") return false;
  const auto nat = mappings_.find({ip->is_v6(), is_over_udp(address)});
  return nat != mappings_.end() && nat->second.mapping == PortMapping::endpoint_dependent &&
         nat->second.networks >= 3;
}

Reachability ReachabilityTracker::status_of(const Address& state) const {
  const auto* judge = judge_of(state);
  return judge && !judge->is_empty() ? judge->status() : state.v1.status();
}

const AddressJudge* ReachabilityTracker::judge_of(const Address& state) const {
  const auto at = judges_.find(state.waist);
  return at == judges_.end() ? nullptr : &at->second;
}

}  // namespace pyrsia::host

#include "host/reachability.hpp"

#include <algorithm>

namespace pyrsia::host {

bool Verdict::add(Reachability evidence, int max_confidence, TimePoint now) {
  last_evidence_ = now;
  if (evidence == status_) {
    confidence_ = std::min(confidence_ + 1, max_confidence);
    return false;
  }
  if (confidence_ > 0) {
    --confidence_;
    return false;
  }
  status_ = evidence;
  return true;
}

std::optional<StatusChanged> ReachabilityTracker::set_candidates(
    const std::vector<CandidateAddress>& candidates, TimePoint now) {
  for (auto& [address, state] : addresses_) state.is_candidate = false;
  bool has_new = false;
  for (const auto& candidate : candidates) {
    const auto known = addresses_.find(candidate.address);
    if (known == addresses_.end() && !make_room_for_address()) continue;
    has_new |= known == addresses_.end();
    auto& state = addresses_[candidate.address];
    state.source = candidate.source;
    state.observers = candidate.observers;
    state.is_candidate = true;
  }
  std::erase_if(addresses_, [](const auto& entry) {
    return !entry.second.is_candidate && !entry.second.verdict.last_evidence();
  });
  if (const auto why = why_public_address_is_gone()) {
    next_probe_ = now;
    return change_to_unknown(*why);
  }
  if (has_new && status() != Reachability::reachable) {
    node_.weaken();
    const auto soon = now + config_.retry_interval;
    if (next_probe_) next_probe_ = std::min(*next_probe_, soon);
  }
  return {};
}

/// A confirmed address may be unseen for a while: those who saw it have left, which is no evidence.
/// It is gone if it was ours to give up, or if we are seen at another IP instead.
std::optional<std::string> ReachabilityTracker::why_public_address_is_gone() const {
  if (!public_address_) return {};
  const auto at = addresses_.find(*public_address_);
  if (at == addresses_.end()) return "the confirmed address is no longer ours";
  if (at->second.is_candidate) return {};
  if (at->second.source != "observed") return "the confirmed address is no longer ours";
  const auto old_ip = public_address_->ip();
  bool is_seen_elsewhere = false;
  for (const auto& [address, state] : addresses_) {
    const auto ip = address.ip();
    if (!state.is_candidate || state.observers == 0 || !ip || !old_ip) continue;
    if (*ip == *old_ip) return {};
    is_seen_elsewhere |= ip->is_v6() == old_ip->is_v6();
  }
  if (!is_seen_elsewhere) return {};
  return "peers see us at another IP address now";
}

std::optional<StatusChanged> ReachabilityTracker::add_result(const autonat::ProbeResult& result,
                                                             bool is_boot_peer, TimePoint now) {
  last_result_ = now;
  next_probe_ = now + config_.retry_interval;
  const bool is_reached = result.status == autonat::Status::ok && result.address;
  if (!is_reached && result.status != autonat::Status::dial_error) {
    const std::string name(autonat::name(result.status));
    refusal_ = Refusal{now, result.text.empty() ? name : name + ": " + result.text};
    return {};
  }
  const auto says = is_reached ? Reachability::reachable : Reachability::unreachable;
  Evidence evidence{now, result.server, group_of(result), is_boot_peer, says, result.asked};
  if (is_reached) evidence.addresses = {*result.address};
  judge_addresses(evidence);
  evidence_.push_back(std::move(evidence));
  if (evidence_.size() > config_.max_evidence) evidence_.pop_front();

  StatusChanged change;
  change.old_status = status();
  const bool is_changed = node_.add(says, config_.max_confidence, now);
  // Another public address is taken over without a word, as the node's status is the same.
  if (status() != Reachability::reachable)
    public_address_.reset();
  else if (is_reached)
    public_address_ = result.address;
  if (confidence() == config_.max_confidence) next_probe_ = now + config_.refresh_interval;
  if (!is_changed) return {};
  change.new_status = status();
  change.address = public_address_;
  change.reason = reason(now);
  return change;
}

void ReachabilityTracker::judge_addresses(const Evidence& evidence) {
  for (const auto& address : evidence.addresses) {
    auto at = addresses_.find(address);
    if (at == addresses_.end()) {
      // Servers dial the IP that they see, so they may reach us where nobody has seen us yet.
      if (evidence.says != Reachability::reachable || !make_room_for_address()) continue;
      at = addresses_.emplace(address, Address{"observed", 0, true, {}}).first;
    }
    at->second.verdict.add(evidence.says, config_.max_confidence, evidence.at);
  }
}

bool ReachabilityTracker::make_room_for_address() {
  if (addresses_.size() < config_.max_addresses) return true;
  const auto stale = std::ranges::find_if(addresses_, [&](const auto& entry) {
    return !entry.second.is_candidate && entry.first != public_address_;
  });
  if (stale == addresses_.end()) return false;
  addresses_.erase(stale);
  return true;
}

std::string ReachabilityTracker::group_of(const autonat::ProbeResult& result) const {
  if (!result.server_ip) return "p" + result.server.to_string();
  const auto ip = result.server_ip->unmapped();
  const auto bits = ip.is_v4() ? config_.group_bits_v4 : config_.group_bits_v6;
  return network_key(ip, bits);
}

std::optional<StatusChanged> ReachabilityTracker::tick(TimePoint now) {
  const auto is_old = [&](TimePoint at) { return now - at > config_.evidence_lifetime; };
  while (!evidence_.empty() && is_old(evidence_.front().at)) evidence_.pop_front();
  if (refusal_ && is_old(refusal_->at)) refusal_.reset();
  for (auto& [address, state] : addresses_)
    if (state.verdict.last_evidence() && is_old(*state.verdict.last_evidence()))
      state.verdict.forget();
  std::erase_if(addresses_, [&](const auto& entry) {
    return !entry.second.is_candidate && !entry.second.verdict.last_evidence() &&
           entry.first != public_address_;
  });
  if (status() == Reachability::unknown || !is_old(*node_.last_evidence())) return {};
  next_probe_ = now;
  return change_to_unknown("no server has answered for too long");
}

std::optional<StatusChanged> ReachabilityTracker::change_to_unknown(std::string why) {
  StatusChanged change;
  change.old_status = status();
  change.new_status = Reachability::unknown;
  node_.forget();
  public_address_.reset();
  evidence_.clear();
  why_unknown_ = std::move(why);
  change.reason = "unknown: " + why_unknown_;
  return change;
}

void ReachabilityTracker::add_inbound_connection(TimePoint) {
  ++inbound_connections_;
  if (confidence() < config_.max_confidence || !last_result_) return;
  // Where we are reachable it confirms what we believe. The original then waits twice as long, and
  // so loses the link to its server, which closes what is silent for 40 s.
  if (status() == Reachability::reachable) return;
  next_probe_ = *last_result_ + config_.refresh_interval / 5;
}

bool ReachabilityTracker::may_advertise(const Multiaddr& address) const {
  const auto at = addresses_.find(address);
  return at == addresses_.end() || at->second.verdict.status() != Reachability::unreachable;
}

NatReport ReachabilityTracker::report(TimePoint now) const {
  const auto age = [&](const Verdict& verdict) {
    return verdict.last_evidence() ? now - *verdict.last_evidence() : Duration(0);
  };
  NatReport out;
  out.status = status();
  out.confidence = confidence();
  out.age = age(node_);
  out.reason = reason(now);
  out.is_connected = is_connected_;
  for (const auto& [address, state] : addresses_) {
    const auto& verdict = state.verdict;
    if (!state.is_candidate && address != public_address_) continue;
    out.addresses.push_back({address, verdict.status(), verdict.confidence(), age(verdict),
                             reason(address, verdict, now), state.source, state.observers});
  }
  const auto rank = [](const AddressVerdict& one) {
    if (one.status == Reachability::reachable) return 0;
    return one.status == Reachability::unknown ? 1 : 2;
  };
  std::ranges::sort(out.addresses, [&](const AddressVerdict& a, const AddressVerdict& b) {
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    if (a.observers != b.observers) return a.observers > b.observers;
    return a.address < b.address;
  });
  return out;
}

}  // namespace pyrsia::host

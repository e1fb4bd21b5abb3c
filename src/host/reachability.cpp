#include "host/reachability.hpp"

#include "base/ip_group.hpp"
#include "host/thin_waist.hpp"

#include <algorithm>
#include <set>

namespace pyrsia::host {
namespace {

AddressJudgeConfig judge_config(const ReachabilityConfig& config) {
  AddressJudgeConfig out;
  out.lifetime = config.evidence_lifetime;
  return out;
}

std::string network_of(const std::optional<IpAddress>& ip, const PeerId& peer) {
  return ip ? witness_network(*ip) : peer.to_string();
}

}  // namespace

ReachabilityTracker::ReachabilityTracker(const ReachabilityConfig& config)
    : config_(config), schedule_(config.reprobe) {}

std::optional<StatusChanged> ReachabilityTracker::take(const ReachabilityInput& input,
                                                       TimePoint now) {
  // Before anything else, so that it does not matter how often time is said to have passed.
  expire(now);
  return std::visit([&](const auto& one) { return on(one, now); }, input);
}

std::optional<StatusChanged> ReachabilityTracker::set_candidates(
    const std::vector<CandidateAddress>& candidates, TimePoint now) {
  return take(Candidates{candidates}, now);
}

std::optional<StatusChanged> ReachabilityTracker::add_result(const autonat::ProbeResult& result,
                                                             bool is_boot_peer, TimePoint now) {
  return take(ServerAnswer{result, is_boot_peer}, now);
}

std::optional<StatusChanged> ReachabilityTracker::tick(TimePoint now) {
  return take(TimePassed{}, now);
}

/// A new address makes a v1 verdict that is not `reachable` less certain; the loss of the confirmed
/// one ends it.
std::optional<StatusChanged> ReachabilityTracker::on(const Candidates& input, TimePoint now) {
  for (auto& [address, state] : addresses_) state.is_candidate = false;
  bool has_new = false;
  for (const auto& candidate : input.addresses) {
    const auto known = addresses_.find(candidate.address);
    if (known == addresses_.end() && !make_room_for_address()) continue;
    const bool is_new = known == addresses_.end();
    has_new |= is_new;
    auto& state = addresses_[candidate.address];
    if (is_new) {
      state.first_seen = now;
      state.waist = thin_waist(candidate.address);
    }
    state.source = candidate.source;
    state.observers = candidate.observers;
    state.local_port = candidate.local_port;
    state.is_candidate = true;
  }
  drop_lost_addresses();
  if (v1_address_) {
    if (auto why = why_gone(*v1_address_)) {
      next_probe_ = now;
      v1_.forget();
      v1_address_.reset();
      answers_.clear();
      why_unknown_ = *std::move(why);
    }
  }
  if (has_new && node_.status != Reachability::reachable) {
    v1_.weaken();
    const auto soon = now + config_.retry_interval;
    if (next_probe_) next_probe_ = std::min(*next_probe_, soon);
  }
  schedule_.set_addresses(waists(), now);
  return settle(now);
}

std::optional<StatusChanged> ReachabilityTracker::on(const ServerAnswer& input, TimePoint now) {
  const auto& result = input.result;
  last_result_ = now;
  next_probe_ = now + config_.retry_interval;
  const bool is_reached = result.status == autonat::Status::ok && result.address;
  if (!is_reached && result.status != autonat::Status::dial_error) {
    const std::string name(autonat::name(result.status));
    refusal_ = Refusal{now, result.text.empty() ? name : name + ": " + result.text};
    return settle(now);
  }
  const auto says = is_reached ? Reachability::reachable : Reachability::unreachable;
  Answer answer{
      now,  result.server, network_of(result.server_ip, result.server), input.is_boot_peer,
      says, result.asked};
  if (is_reached) answer.addresses = {*result.address};
  judge_by_v1(answer);
  answers_.push_back(std::move(answer));
  if (answers_.size() > config_.max_evidence) answers_.pop_front();

  v1_.add(says, config_.max_confidence, now);
  // Another public address is taken over without a word, as the node's status is the same.
  if (v1_.status() != Reachability::reachable)
    v1_address_.reset();
  else if (is_reached)
    v1_address_ = result.address;
  if (v1_.confidence() == config_.max_confidence) next_probe_ = now + config_.refresh_interval;
  return settle(now);
}

void ReachabilityTracker::judge_by_v1(const Answer& answer) {
  for (const auto& address : answer.addresses) {
    auto at = addresses_.find(address);
    if (at == addresses_.end()) {
      // Servers dial the IP that they see, so they may reach us where nobody has seen us yet.
      if (answer.says != Reachability::reachable || !make_room_for_address()) continue;
      Address seen;
      seen.waist = thin_waist(address);
      seen.source = "observed";
      seen.first_seen = answer.at;
      at = addresses_.emplace(address, seen).first;
      schedule_.set_addresses(waists(), answer.at);
    }
    at->second.v1.add(answer.says, config_.max_confidence, answer.at);
  }
}

std::optional<StatusChanged> ReachabilityTracker::on(const DialBack& input, TimePoint now) {
  const auto waist = thin_waist(input.address);
  if (input.outcome == DialBack::Outcome::no_evidence) {
    refusal_ = Refusal{now, input.text};
    return settle(now);
  }
  Vote word;
  word.at = now;
  word.voter = word.witness = network_of(input.server_ip, input.server);
  if (input.outcome == DialBack::Outcome::reached) {
    word.kind = input.is_from_known_ip ? Vote::Kind::reached_from_known_ip : Vote::Kind::reached;
    if (input.dialed_from) word.witness = witness_network(*input.dialed_from);
  }
  vote(waist, std::move(word), now);
  return settle(now);
}

std::optional<StatusChanged> ReachabilityTracker::on(const StrangerConnected& input,
                                                     TimePoint now) {
  const bool is_ourselves = std::ranges::any_of(addresses_, [&](const auto& entry) {
    return entry.first.ip() == input.from.unmapped();  // Another host behind our own NAT.
  });
  const auto waist = waist_of_listener(input);
  if (is_ourselves || !waist) return settle(now);
  Vote word;
  word.kind = Vote::Kind::reached;
  word.at = now;
  word.voter = word.witness = witness_network(input.from);
  word.is_stranger = true;
  vote(*waist, std::move(word), now);
  return settle(now);
}

/// The address that a stranger used, if there is only one that it can have been: that of the
/// listener itself, or the one that most peers see it at. One that a single network has seen may be
/// its invention, and the stranger its friend.
std::optional<Multiaddr> ReachabilityTracker::waist_of_listener(
    const StrangerConnected& stranger) const {
  const auto local = thin_waist(stranger.local);
  const auto endpoint = local.endpoint();
  if (!endpoint) return {};
  std::map<Multiaddr, std::size_t> observers;
  for (const auto& [address, state] : addresses_) {
    const auto& waist = state.waist;
    if (!state.is_candidate) continue;
    if (waist == local) return waist;
    const auto ip = address.ip();
    if (!ip || ip->is_v6() != endpoint->ip.is_v6() || state.local_port != endpoint->port) continue;
    if (is_over_udp(address) != is_over_udp(local)) continue;
    if (state.source == "observed" && state.observers < 2) continue;
    observers[waist] = std::max(observers[waist], state.observers);
  }
  if (observers.empty()) return {};
  const auto count = &std::pair<const Multiaddr, std::size_t>::second;
  const auto most = std::ranges::max_element(observers, {}, count);
  if (std::ranges::count(observers, most->second, count) > 1) return {};
  return most->first;
}

void ReachabilityTracker::vote(const Multiaddr& waist, Vote word, TimePoint now) {
  const bool is_ours = std::ranges::any_of(
      addresses_, [&](const auto& entry) { return entry.second.waist == waist; });
  if (!is_ours) return;  // Given up meanwhile: nobody asks any more.
  AddressJudge fresh(judge_config(config_));
  auto& judge = judges_.try_emplace(waist, std::move(fresh)).first->second;
  const bool is_success = word.kind != Vote::Kind::not_reached;
  const auto before = judge.status();
  judge.add(std::move(word), trusts_known_ip(waist), networks_.size());
  const bool is_contrary = judge.contrary_networks() > 0 && !is_success;
  // What others say of it shall be known soon, not at the next round.
  if (is_contrary || (is_success && before == Reachability::unreachable))
    schedule_.doubt(waist, now);
  schedule_.judged(waist, judge.status(), judge.is_confirmed(), now);
}

/// A success from an IP that we had contacted is as good as any other where nothing translates the
/// address (firewalls that tell IPs but not ports apart are not met with), or where a rule in the
/// router lets everybody in, or where no other network could be asked.
bool ReachabilityTracker::trusts_known_ip(const Multiaddr& waist) const {
  if (networks_.size() <= 1) return true;
  return std::ranges::any_of(addresses_, [&](const auto& entry) {
    return entry.second.is_candidate && entry.second.source != "observed" &&
           entry.second.waist == waist;
  });
}

std::optional<StatusChanged> ReachabilityTracker::on(const NatMapping& input, TimePoint now) {
  mappings_[{input.is_v6, input.is_udp}] = input;
  return settle(now);
}

std::optional<StatusChanged> ReachabilityTracker::on(const KnownServers& input, TimePoint now) {
  networks_ = input.networks;
  return settle(now);
}

std::optional<StatusChanged> ReachabilityTracker::on(const Doubt&, TimePoint now) {
  schedule_.doubt_all();
  next_probe_ = now;
  return settle(now);
}

bool ReachabilityTracker::make_room_for_address() {
  if (addresses_.size() < config_.max_addresses) return true;
  const auto stale = std::ranges::find_if(addresses_, [&](const auto& entry) {
    return !entry.second.is_candidate && entry.first != node_.address;
  });
  if (stale == addresses_.end()) return false;
  addresses_.erase(stale);
  drop_lost_addresses();
  return true;
}

/// Those that are no candidates, and on which nothing is known; and what is known of addresses that
/// are not ours any more.
void ReachabilityTracker::drop_lost_addresses() {
  std::erase_if(addresses_, [&](const auto& entry) {
    const auto& [address, state] = entry;
    if (state.is_candidate || address == node_.address) return false;
    const auto* judge = judge_of(state);
    return !state.v1.last_evidence() && (!judge || judge->is_empty());
  });
  const auto all = waists();
  std::erase_if(judges_, [&](const auto& entry) { return !all.contains(entry.first); });
}

std::set<Multiaddr> ReachabilityTracker::waists() const {
  std::set<Multiaddr> out;
  for (const auto& [address, state] : addresses_) out.insert(state.waist);
  return out;
}

void ReachabilityTracker::expire(TimePoint now) {
  const auto is_old = [&](TimePoint at) { return now - at > config_.evidence_lifetime; };
  while (!answers_.empty() && is_old(answers_.front().at)) answers_.pop_front();
  if (refusal_ && is_old(refusal_->at)) refusal_.reset();
  for (auto& [waist, judge] : judges_) {
    judge.expire(now);
    judge.ripen(now, config_.patience);
  }
  for (auto& [address, state] : addresses_)
    if (state.v1.last_evidence() && is_old(*state.v1.last_evidence())) state.v1.forget();
  if (!v1_.last_evidence() || !is_old(*v1_.last_evidence())) return;
  v1_.forget();
  v1_address_.reset();
  answers_.clear();
  next_probe_ = now;
  why_unknown_ = "no server has answered for too long";
}

std::optional<StatusChanged> ReachabilityTracker::on(const TimePassed&, TimePoint now) {
  schedule_.tick(now);
  const auto change = settle(now);
  drop_lost_addresses();
  return change;
}

void ReachabilityTracker::add_inbound_connection(TimePoint) {
  ++inbound_connections_;
  if (v1_.confidence() < config_.max_confidence || !last_result_) return;
  // Where we are reachable it confirms what we believe. The original then waits twice as long, and
  // so loses the link to its server, which closes what is silent for 40 s.
  if (v1_.status() == Reachability::reachable) return;
  next_probe_ = *last_result_ + config_.refresh_interval / 5;
}

bool ReachabilityTracker::may_advertise(const Multiaddr& address) const {
  const auto at = addresses_.find(address);
  return at == addresses_.end() || status_of(at->second) != Reachability::unreachable;
}

}  // namespace pyrsia::host

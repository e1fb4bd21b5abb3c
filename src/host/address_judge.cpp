#include "host/address_judge.hpp"

#include <algorithm>
#include <set>

namespace pyrsia::host {

bool AddressJudge::add(Vote vote, bool trusts_known_ip, std::size_t asked_networks) {
  const auto same = std::ranges::find(votes_, vote.voter, &Vote::voter);
  const bool had_reached_us = same != votes_.end() && same->kind != Vote::Kind::not_reached;
  if (same != votes_.end()) votes_.erase(same);
  make_room(vote.is_stranger);
  const auto kind = vote.kind;
  const auto voter = vote.voter;
  const auto now = vote.at;
  votes_.push_back(std::move(vote));

  if (kind == Vote::Kind::reached ||
      (kind == Vote::Kind::reached_from_known_ip && trusts_known_ip)) {
    if (status_ == Reachability::unreachable && outvoted_.contains(voter)) return false;
    outvoted_.clear();
    rests_on_trust_ =
        kind != Vote::Kind::reached && (rests_on_trust_ || status_ != Reachability::reachable);
    // Who is alone with it does not wipe out what three have said by saying it again.
    const bool is_outnumbered = had_reached_us && agreeing_networks() == 1 &&
                                contrary_.size() >= config_.confirming_networks;
    if (!is_outnumbered) {
      contrary_.clear();
      turned_ = 0;
    }
    return set(Reachability::reachable);
  }
  if (kind == Vote::Kind::reached_from_known_ip) return false;

  const auto needed = std::min<std::size_t>(2, std::max<std::size_t>(asked_networks, 1));
  if (status_ != Reachability::reachable)
    return networks(kind) >= needed && set(Reachability::unreachable);
  // A stranger may be kept out where those whom we contacted are let in.
  const bool trust_is_broken = rests_on_trust_ && !trusts_known_ip && !had_reached_us;
  ++contrary_[voter];
  if (had_reached_us) ++turned_;
  if (must_turn(asked_networks)) {
    for (const auto& one : votes_)
      if (one.kind != Vote::Kind::not_reached) outvoted_[one.voter] = now;
    return set(Reachability::unreachable);
  }
  if (!trust_is_broken) return false;
  return set(networks(kind) >= needed ? Reachability::unreachable : Reachability::unknown);
}

/// Strangers may be many: they never take more than half of the places, and go first.
void AddressJudge::make_room(bool for_stranger) {
  const auto strangers = std::size_t(std::ranges::count(votes_, true, &Vote::is_stranger));
  const bool is_full = votes_.size() >= config_.max_votes;
  if (!is_full && (!for_stranger || strangers < config_.max_votes / 2)) return;
  const auto oldest = std::ranges::find(votes_, true, &Vote::is_stranger);
  votes_.erase(oldest == votes_.end() ? votes_.begin() : oldest);
}

bool AddressJudge::must_turn(std::size_t asked_networks) const {
  std::size_t count = 0;
  for (const auto& [network, votes] : contrary_) count += votes;
  const auto enough = config_.confirming_networks;
  // Those who cannot be asked now have had their word all the same.
  const auto voices = std::max<std::size_t>({asked_networks, agreeing_servers(), 1});
  const bool has_enough = voices >= enough;
  if (contrary_.size() < std::min(voices, enough)) return false;
  if (!has_enough && count < config_.lone_contrary_votes) return false;
  return turned_ > 0 || count >= config_.any_contrary_votes;
}

bool AddressJudge::expire(TimePoint now) {
  const auto is_old = [&](const Vote& vote) { return now - vote.at > config_.lifetime; };
  std::erase_if(votes_, is_old);
  std::erase_if(outvoted_, [&](const auto& one) { return now - one.second > config_.lifetime; });
  const auto agrees = [&](const Vote& vote) {
    return (vote.kind == Vote::Kind::not_reached) == (status_ == Reachability::unreachable);
  };
  if (status_ == Reachability::unknown || std::ranges::any_of(votes_, agrees)) return false;
  return set(Reachability::unknown);
}

bool AddressJudge::ripen(TimePoint now, Duration patience) {
  if (status_ != Reachability::unknown) return false;
  const auto is_ripe = [&](const Vote& vote) {
    return vote.kind == Vote::Kind::not_reached && now - vote.at >= patience;
  };
  const auto gainsaid = networks(Vote::Kind::reached) + networks(Vote::Kind::reached_from_known_ip);
  if (gainsaid > 0 || std::ranges::none_of(votes_, is_ripe)) return false;
  return set(Reachability::unreachable);
}

bool AddressJudge::set(Reachability status) {
  if (status != Reachability::reachable) {
    contrary_.clear();
    turned_ = 0;
    rests_on_trust_ = false;
  }
  return std::exchange(status_, status) != status;
}

std::size_t AddressJudge::networks(Vote::Kind kind) const {
  std::set<std::string> found;
  for (const auto& vote : votes_)
    if (vote.kind == kind) found.insert(vote.voter);
  return found.size();
}

std::size_t AddressJudge::agreeing_networks() const {
  std::set<std::string> found;
  for (const auto& vote : votes_)
    if ((vote.kind == Vote::Kind::not_reached) == (status_ == Reachability::unreachable))
      found.insert(vote.voter);
  return found.size();
}

/// Strangers come and go: what a server says weighs against those who were asked.
std::size_t AddressJudge::agreeing_servers() const {
  return std::size_t(std::ranges::count_if(votes_, [](const Vote& vote) {
    return vote.kind != Vote::Kind::not_reached && !vote.is_stranger;
  }));
}

int AddressJudge::confidence() const {
  if (status_ == Reachability::unknown) return 0;
  const auto agree = std::min(agreeing_networks(), config_.confirming_networks);
  return int(agree - std::min(agree, contrary_.size()));
}

bool AddressJudge::is_known_ip_only() const {
  return status_ != Reachability::unreachable && networks(Vote::Kind::reached) == 0 &&
         networks(Vote::Kind::reached_from_known_ip) > 0;
}

bool AddressJudge::is_address_restricted() const {
  return status_ == Reachability::unreachable && networks(Vote::Kind::reached) == 0 &&
         networks(Vote::Kind::reached_from_known_ip) > 0;
}

bool AddressJudge::has_reached_us(const std::string& voter) const {
  const auto at = std::ranges::find(votes_, voter, &Vote::voter);
  return at != votes_.end() && at->kind != Vote::Kind::not_reached;
}

}  // namespace pyrsia::host

#include "host/observed_addresses.hpp"

#include "base/ip_group.hpp"
#include "host/thin_waist.hpp"

#include <algorithm>
#include <tuple>

namespace pyrsia::host {
namespace {

bool is_transport(const Multiaddr& address) {
  return address.is_plain_tcp() || address.is_websocket() || address.is_quic_v1();
}

}  // namespace

bool ObservedAddresses::add(const swarm::ConnectionInfo& connection, const Multiaddr& observed,
                            const std::vector<Multiaddr>& listen_addresses, TimePoint now) {
  auto vote = vote_of(connection, observed, listen_addresses);
  return vote && count(connection.id, *std::move(vote), now);
}

bool ObservedAddresses::count(swarm::ConnectionId id, Vote vote, TimePoint now) {
  const auto previous = votes_.find(id);
  if (previous != votes_.end()) {
    if (previous->second.keys == vote.keys) return false;
    remove(id);
  }
  if (votes_.size() >= limits_.connections) return false;
  std::vector<Key> counted;
  for (const auto& key : vote.keys) {
    if (!tallies_.contains(key)) {
      if (tallies_.size() >= limits_.addresses && !make_room(vote)) continue;
      tallies_[key].first_seen = now;
    }
    counted.push_back(key);
  }
  vote.keys = std::move(counted);
  if (vote.keys.empty()) return false;
  for (const auto& key : vote.keys) {
    auto& tally = tallies_[key];
    ++tally.votes_of_group[vote.group];
    if (vote.is_port_observed) ++tally.port_votes;
  }
  votes_.emplace(id, std::move(vote));
  return true;
}

bool ObservedAddresses::add(const StunWord& word, const std::vector<Multiaddr>& listen_addresses,
                            TimePoint now) {
  auto vote = vote_of(word, listen_addresses);
  if (!vote) return false;
  const auto is_same = [&](const StunVote& one) {
    return one.server == word.server && one.local_port == word.local_port;
  };
  auto known = std::ranges::find_if(stun_votes_, is_same);
  if (known == stun_votes_.end()) {
    const auto of_port = std::ranges::count(stun_votes_, word.local_port, &StunVote::local_port);
    if (static_cast<std::size_t>(of_port) >= limits_.stun_servers) return false;
    stun_votes_.push_back({word.server, word.local_port, last_stun_id_--, {}});
    known = std::prev(stun_votes_.end());
  }
  known->until = now + limits_.stun_lifetime;
  return count(known->id, *std::move(vote), now);
}

bool ObservedAddresses::expire(TimePoint now) {
  bool has_changed = false;
  for (const auto& one : stun_votes_)
    if (one.until <= now) has_changed = remove(one.id) || has_changed;
  std::erase_if(stun_votes_, [&](const StunVote& one) { return one.until <= now; });
  return has_changed;
}

std::size_t ObservedAddresses::connection_count() const {
  // A server whose word had no room has no vote.
  const auto has_vote = [&](const StunVote& one) { return votes_.contains(one.id); };
  return votes_.size() - static_cast<std::size_t>(std::ranges::count_if(stun_votes_, has_vote));
}

bool ObservedAddresses::remove(swarm::ConnectionId connection) {
  const auto vote = votes_.find(connection);
  if (vote == votes_.end()) return false;
  for (const auto& key : vote->second.keys) {
    const auto tally = tallies_.find(key);
    if (tally == tallies_.end()) continue;
    auto& groups = tally->second.votes_of_group;
    const auto group = groups.find(vote->second.group);
    if (group != groups.end() && --group->second == 0) groups.erase(group);
    if (vote->second.is_port_observed) --tally->second.port_votes;
    if (groups.empty()) tallies_.erase(tally);
  }
  votes_.erase(vote);
  return true;
}

bool ObservedAddresses::make_room(const Vote& keep) {
  std::map<std::string, std::size_t> named_by_group;
  for (const auto& [key, tally] : tallies_)
    for (const auto& [group, votes] : tally.votes_of_group) ++named_by_group[group];
  // Fewest observers, then the most talkative observer, then the earliest.
  const auto rank_of = [&](const Tally& tally) {
    std::size_t most = 0;
    for (const auto& [group, votes] : tally.votes_of_group)
      most = std::max(most, named_by_group.at(group));
    return std::tuple(tally.votes_of_group.size(), ~most, tally.first_seen);
  };
  const Key* worst = nullptr;
  for (const auto& [key, tally] : tallies_) {
    if (std::ranges::find(keep.keys, key) != keep.keys.end()) continue;
    if (!worst || rank_of(tally) < rank_of(tallies_.at(*worst))) worst = &key;
  }
  if (!worst) return false;
  forget(Key(*worst));
  ++evictions_;
  return true;
}

void ObservedAddresses::forget(const Key& key) {
  tallies_.erase(key);
  for (auto& [id, vote] : votes_) std::erase(vote.keys, key);
  std::erase_if(votes_, [](const auto& entry) { return entry.second.keys.empty(); });
}

std::vector<ObservedAddress> ObservedAddresses::candidates(std::size_t min_observers) const {
  std::vector<ObservedAddress> all;
  for (const auto& [key, tally] : tallies_) {
    const auto observers = tally.votes_of_group.size();
    if (observers >= min_observers)
      all.push_back({key.external, key.is_udp, key.local_port, observers, tally.port_votes > 0,
                     tally.first_seen});
  }
  std::ranges::sort(all, [](const ObservedAddress& a, const ObservedAddress& b) {
    if (a.observers != b.observers) return a.observers > b.observers;
    if (a.first_seen != b.first_seen) return a.first_seen < b.first_seen;
    return std::tie(a.external, a.is_udp) < std::tie(b.external, b.is_udp);
  });
  std::map<std::tuple<bool, bool, std::uint16_t>, std::size_t> taken;
  std::erase_if(all, [&](const ObservedAddress& one) {
    return ++taken[{one.external.ip.is_v6(), one.is_udp, one.local_port}] > limits_.of_one_listener;
  });
  return all;
}

ObservedMapping ObservedAddresses::port_mapping(bool is_v6, bool is_udp) const {
  // Per local port: who saw which external endpoint. Of one network several peers have a word only
  // where there is no other: together they could outnumber all.
  std::map<std::uint16_t, std::map<Endpoint, std::set<Endpoint>>> seen;
  std::map<std::uint16_t, std::map<Endpoint, std::set<std::string>>> seen_by;
  std::map<std::uint16_t, std::set<std::string>> networks;
  for (const auto& [id, vote] : votes_) {
    if (!vote.is_outbound || !vote.is_port_observed || vote.is_udp != is_udp) continue;
    for (const auto& key : vote.keys) {
      if (key.external.ip.is_v6() != is_v6) continue;
      seen[key.local_port][key.external].insert(vote.remote);
      seen_by[key.local_port][key.external].insert(vote.group);
      networks[key.local_port].insert(vote.group);
    }
  }
  ObservedMapping verdict;
  for (const auto& [port, externals] : seen) {
    std::size_t total = 0;
    std::size_t most = 0;
    for (const auto& [external, remotes] : externals) {
      total += remotes.size();
      most = std::max(most, remotes.size());
    }
    if (total < 2) continue;
    const auto witnesses = networks[port].size();
    if (witnesses > 1) {
      total = witnesses;
      most = 0;
      for (const auto& [external, groups] : seen_by[port]) most = std::max(most, groups.size());
    }
    // A mapping that was renewed leaves a few votes for the old one: half of them must agree.
    if (most < 2 || most * 2 < total) return {PortMapping::endpoint_dependent, witnesses};
    verdict = {PortMapping::endpoint_independent, std::max(verdict.networks, witnesses)};
  }
  return verdict;
}

std::optional<ObservedAddresses::Vote> ObservedAddresses::vote_of(
    const swarm::ConnectionInfo& connection, const Multiaddr& observed,
    const std::vector<Multiaddr>& listen_addresses) const {
  if (connection.remote.is_relayed() || observed.is_relayed()) return {};
  const auto local = connection.local.endpoint();
  const auto remote = connection.remote.endpoint();
  const auto external = observed.without_peer().endpoint();
  if (!local || !remote || !external) return {};
  const bool is_udp = is_over_udp(observed);
  if (is_udp != is_over_udp(connection.local) || !is_transport(observed)) return {};
  if (external->port == 0 || external->ip.is_v6() != local->ip.is_v6()) return {};
  // A peer in our own network sees an address that is of use there only.
  if (!classifier_.is_usable_by_others(external->ip)) return {};
  if (!classifier_.is_usable_by_others(remote->ip)) return {};

  Vote vote;
  vote.group = witness_network(remote->ip);
  vote.is_udp = is_udp;
  vote.remote = *remote;
  vote.is_port_observed = connection.is_port_shared;
  vote.is_outbound = connection.direction == swarm::Direction::outbound;
  for (const auto& listener : listen_addresses) {
    const auto endpoint = listener.endpoint();
    if (!endpoint || !is_transport(listener) || endpoint->port == 0) continue;
    if (endpoint->ip.is_v6() != external->ip.is_v6() || is_over_udp(listener) != is_udp) continue;
    if (connection.is_port_shared && endpoint->port != local->port) continue;
    const auto port = connection.is_port_shared ? external->port : endpoint->port;
    const Key key{is_udp, endpoint->port, {external->ip, port}};
    if (std::ranges::find(vote.keys, key) == vote.keys.end()) vote.keys.push_back(key);
  }
  if (vote.keys.empty()) return {};
  return vote;
}

std::optional<ObservedAddresses::Vote> ObservedAddresses::vote_of(
    const StunWord& word, const std::vector<Multiaddr>& listen_addresses) const {
  if (word.mapped.port == 0 || word.mapped.ip.is_v6() != word.server.ip.is_v6()) return {};
  if (!classifier_.is_usable_by_others(word.mapped.ip)) return {};
  if (!classifier_.is_usable_by_others(word.server.ip)) return {};
  const auto is_meant = [&](const Multiaddr& listener) {
    const auto endpoint = listener.endpoint();
    return listener.is_quic_v1() && endpoint && endpoint->port == word.local_port &&
           endpoint->ip.is_v6() == word.mapped.ip.is_v6();
  };
  if (std::ranges::none_of(listen_addresses, is_meant)) return {};
  Vote vote;
  vote.keys = {{true, word.local_port, word.mapped}};
  vote.group = witness_network(word.server.ip);
  vote.is_udp = true;
  vote.remote = word.server;
  vote.is_port_observed = true;
  vote.is_outbound = true;
  return vote;
}

}  // namespace pyrsia::host

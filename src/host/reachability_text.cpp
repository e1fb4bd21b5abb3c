// The words in which the tracker gives its reasons.
#include "host/reachability.hpp"
#include "host/thin_waist.hpp"

#include <algorithm>
#include <set>

namespace pyrsia {

std::string_view name(Reachability reachability) noexcept {
  switch (reachability) {
    case Reachability::unknown: return "unknown";
    case Reachability::reachable: return "reachable";
    case Reachability::unreachable: return "unreachable";
  }
  return "";
}

std::string_view nat_status_name(Reachability reachability) noexcept {
  switch (reachability) {
    case Reachability::unknown: return "Unknown";
    case Reachability::reachable: return "Public";
    case Reachability::unreachable: return "Private";
  }
  return "";
}

namespace host {
namespace {

constexpr std::size_t kMostEvidence = 16;
constexpr std::string_view kOtherPorts = "the NAT gives us another port for each peer";
constexpr std::string_view kKnownIpOnly =
    "only peers that we have contacted can reach us, as far as is known";

std::string age_text(Duration age) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < 60) return std::to_string(seconds) + " s ago";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min ago";
  return std::to_string(seconds / 3600) + " h ago";
}

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string networks_text(std::size_t count) {
  return count == 1 ? "1 network" : std::to_string(count) + " different networks";
}

/// What makes a verdict less than confirmed; empty if nothing does.
std::string provisional_text(const AddressJudge& judge, std::size_t asked_networks) {
  if (judge.is_confirmed()) return "";
  if (judge.contrary_networks() > 0)
    return "; " + networks_text(judge.contrary_networks()) + " said otherwise since";
  if (asked_networks < 3)
    return "; provisional: only " + networks_text(std::max<std::size_t>(asked_networks, 1)) +
           " can be asked";
  return "; provisional: three shall agree";
}

std::string vote_text(const Vote& vote) {
  if (vote.is_stranger) return "a stranger connected";
  switch (vote.kind) {
    case Vote::Kind::reached: return "dialed back, from an IP that we had not contacted";
    case Vote::Kind::reached_from_known_ip: return "dialed back, from an IP that we had contacted";
    case Vote::Kind::not_reached: return "tried to dial back and failed";
  }
  return "";
}

Reachability says(const Vote& vote) {
  return vote.kind == Vote::Kind::not_reached ? Reachability::unreachable : Reachability::reachable;
}

std::string judge_text(const AddressJudge& judge, std::size_t asked_networks) {
  const auto reached = judge.networks(Vote::Kind::reached);
  const auto known = judge.networks(Vote::Kind::reached_from_known_ip);
  const auto failed = judge.networks(Vote::Kind::not_reached);
  if (judge.is_address_restricted())
    return "strangers are kept out (address-restricted filtering): dial-backs came through from " +
           networks_text(known) + " that we had contacted, and failed from " +
           networks_text(failed);
  if (judge.status() == Reachability::unreachable)
    return networks_text(failed) + " tried to dial it back and failed" +
           provisional_text(judge, asked_networks);
  if (judge.status() == Reachability::reachable) {
    auto text = networks_text(reached + known) + " reached it";
    if (reached == 0) text += ", all of them contacted by us before";
    return text + provisional_text(judge, asked_networks);
  }
  if (judge.is_known_ip_only()) return std::string(kKnownIpOnly);
  return networks_text(failed) + " tried to dial it back and failed, no other was asked yet";
}

}  // namespace

ReachabilityTracker::Support ReachabilityTracker::support(Reachability says,
                                                          const Multiaddr* address,
                                                          TimePoint now) const {
  Support out;
  std::set<PeerId> servers;
  std::set<std::string> groups;
  for (const auto& one : answers_) {
    if (one.says != says || now - one.at > config_.evidence_lifetime) continue;
    if (address && std::ranges::find(one.addresses, *address) == one.addresses.end()) continue;
    servers.insert(one.server);
    groups.insert(one.network);
    out.is_all_boot_peers &= one.is_boot_peer;
    out.last = one.at;
  }
  out.servers = servers.size();
  out.groups = groups.size();
  return out;
}

std::string ReachabilityTracker::node_reason(TimePoint now) const {
  if (node_.status == Reachability::unknown) return node_reason_for_unknown(now);
  std::string text(name(node_.status));
  text +=
      ": " + (node_.basis == Basis::v1 ? node_reason_by_v1(now) : node_reason_by_addresses(now));
  if (node_.status == Reachability::unreachable && inbound_connections_ > 0)
    text += "; yet " + count_text(inbound_connections_, "connection") + " came in";
  return text;
}

std::string ReachabilityTracker::node_reason_by_v1(TimePoint now) const {
  const bool is_reachable = node_.status == Reachability::reachable;
  const auto whole = is_reachable && node_.address ? node_.address->to_string() : "us";
  const auto agree = support(node_.status, nullptr, now);
  const auto oppose =
      support(is_reachable ? Reachability::unreachable : Reachability::reachable, nullptr, now);
  auto text = count_text(agree.servers, agree.is_all_boot_peers ? "boot peer" : "peer");
  if (agree.groups > 1) text += " in " + count_text(agree.groups, "different network");
  text += is_reachable ? " dialed " + whole + " back" : " tried to dial us back and failed";
  if (agree.last) text += ", last " + age_text(now - *agree.last);
  if (oppose.last && (!agree.last || *oppose.last > *agree.last))
    text += "; " + count_text(oppose.servers, "peer") + " said otherwise since";
  const auto is_dependent = [](const auto& entry) {
    return entry.second.mapping == PortMapping::endpoint_dependent;
  };
  if (!is_reachable && std::ranges::any_of(mappings_, is_dependent))
    text += "; " + std::string(kOtherPorts);
  return text;
}

std::string ReachabilityTracker::node_reason_by_addresses(TimePoint now) const {
  const auto age = node_age(now);
  const auto last = age ? ", last " + age_text(*age) : "";
  if (node_.status == Reachability::reachable)
    return node_.address->to_string() + ": " +
           judge_text(*judge_of(addresses_.at(*node_.address)), networks_.size()) + last;
  if (node_.basis == Basis::nat_mapping) return std::string(kOtherPorts) + ", so none is of use";
  std::size_t refused = 0;
  const AddressJudge* sample = nullptr;
  for (const auto& [address, state] : addresses_) {
    const auto* judge = judge_of(state);
    if (!counts(address, state) || !judge || judge->status() != Reachability::unreachable) continue;
    ++refused;
    if (!sample || judge->confidence() > sample->confidence()) sample = judge;
  }
  auto text =
      refused == 1 ? "our only address: " : "each of " + std::to_string(refused) + " addresses: ";
  if (sample) text += judge_text(*sample, networks_.size());
  return text + last;
}

std::string ReachabilityTracker::node_reason_for_unknown(TimePoint now) const {
  std::string text = "unknown: ";
  for (const auto& [address, state] : addresses_) {
    const auto* judge = judge_of(state);
    if (counts(address, state) && judge && judge->is_known_ip_only())
      return text + std::string(kKnownIpOnly) + "; a boot server that we have not contacted, or " +
             "a stranger, would settle it";
  }
  if (refusal_)
    return text + "the last server would not probe us (" + refusal_->text + "), " +
           age_text(now - refusal_->at);
  if (!why_unknown_.empty()) return text + why_unknown_;
  if (addresses_.empty()) return text + "no address to be probed at is known yet";
  return text + "no server has answered a probe yet";
}

std::string ReachabilityTracker::address_reason(const Multiaddr& address, const Address& state,
                                                TimePoint now) const {
  const auto* judge = judge_of(state);
  if (judge && !judge->is_empty())
    return judge_text(*judge, networks_.size()) + ", last " +
           age_text(now - judge->votes().back().at);
  if (state.v1.status() == Reachability::unknown)
    return is_beyond_dependent_nat(address, state) ? std::string(kOtherPorts) : "not probed yet";
  const auto agree = support(state.v1.status(), &address, now);
  auto text = count_text(agree.servers, agree.is_all_boot_peers ? "boot peer" : "peer");
  if (agree.groups > 1) text += " in " + count_text(agree.groups, "different network");
  text += state.v1.status() == Reachability::reachable ? " dialed it back"
                                                       : " tried to dial it back and failed";
  if (agree.last) text += ", last " + age_text(now - *agree.last);
  return text;
}

NatReport ReachabilityTracker::report(TimePoint now) const {
  NatReport out;
  out.status = node_.status;
  out.confidence = node_.confidence;
  out.age = node_age(now).value_or(Duration(0));
  out.reason = node_reason(now);
  out.is_connected = is_connected_;
  out.is_confirmed = node_.is_confirmed;
  out.evidence = node_evidence(now);
  for (const auto& [address, state] : addresses_)
    if (counts(address, state)) out.addresses.push_back(address_verdict(address, state, now));
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

AddressVerdict ReachabilityTracker::address_verdict(const Multiaddr& address, const Address& state,
                                                    TimePoint now) const {
  AddressVerdict out;
  out.address = address;
  out.status = status_of(state);
  out.reason = address_reason(address, state, now);
  out.source = state.source;
  out.observers = state.observers;
  const auto* judge = judge_of(state);
  if (!judge || judge->is_empty()) {
    out.confidence = state.v1.confidence();
    if (state.v1.last_evidence()) out.age = now - *state.v1.last_evidence();
    out.is_confirmed =
        out.status != Reachability::unknown && support(out.status, &address, now).groups >= 3;
    out.evidence = v1_evidence(&address, now);
    return out;
  }
  out.confidence = judge->confidence();
  out.is_confirmed = judge->is_confirmed();
  out.is_known_ip_only = out.status == Reachability::unknown && judge->is_known_ip_only();
  out.age = now - judge->votes().back().at;
  for (auto vote = judge->votes().rbegin(); vote != judge->votes().rend(); ++vote)
    out.evidence.push_back({vote_text(*vote), vote->witness, now - vote->at, says(*vote)});
  return out;
}

std::vector<NatEvidence> ReachabilityTracker::v1_evidence(const Multiaddr* address,
                                                          TimePoint now) const {
  std::vector<NatEvidence> out;
  for (auto one = answers_.rbegin(); one != answers_.rend() && out.size() < kMostEvidence; ++one) {
    if (address && std::ranges::find(one->addresses, *address) == one->addresses.end()) continue;
    const bool is_reached = one->says == Reachability::reachable;
    out.push_back(
        {is_reached ? "dialed back (AutoNAT v1)" : "tried to dial back and failed (AutoNAT v1)",
         one->network, now - one->at, one->says});
  }
  return out;
}

/// Of the node as a whole: what is no evidence on a single address.
std::vector<NatEvidence> ReachabilityTracker::node_evidence(TimePoint now) const {
  std::vector<NatEvidence> out;
  if (node_.basis == Basis::v1) out = v1_evidence(nullptr, now);
  for (const auto& [key, nat] : mappings_) {
    if (nat.mapping == PortMapping::unknown) continue;
    const bool is_dependent = nat.mapping == PortMapping::endpoint_dependent;
    const std::string what = std::string(nat.is_udp ? "UDP" : "TCP") + " over " +
                             (nat.is_v6 ? "IPv6" : "IPv4") +
                             (is_dependent ? ": each peer sees another port of ours"
                                           : ": all peers see the same port of ours");
    out.push_back({what, count_text(nat.networks, "network"), Duration(0),
                   is_dependent ? Reachability::unreachable : Reachability::unknown});
  }
  if (refusal_)
    out.push_back({"a server would not probe us: " + refusal_->text, "", now - refusal_->at,
                   Reachability::unknown});
  return out;
}

/// All that the verdict on the node rests on: its own, and that of the addresses it comes from.
std::vector<NatEvidence> ReachabilityTracker::verdict_evidence(TimePoint now) const {
  auto out = node_evidence(now);
  for (const auto& [address, state] : addresses_) {
    if (!counts(address, state) || (node_.address && address != *node_.address)) continue;
    auto more = address_verdict(address, state, now).evidence;
    std::ranges::move(more, std::back_inserter(out));
  }
  if (out.size() > kMostEvidence) out.resize(kMostEvidence);
  return out;
}

std::optional<Duration> ReachabilityTracker::node_age(TimePoint now) const {
  if (node_.basis == Basis::v1) {
    const auto last = v1_.last_evidence();
    return last ? std::optional(now - *last) : std::nullopt;
  }
  std::optional<TimePoint> last;
  for (const auto& [address, state] : addresses_) {
    const auto* judge = judge_of(state);
    if (!judge || judge->is_empty() || !counts(address, state)) continue;
    if (node_.address && address != *node_.address) continue;
    last = std::max(last.value_or(judge->votes().back().at), judge->votes().back().at);
  }
  return last ? std::optional(now - *last) : std::nullopt;
}

}  // namespace host
}  // namespace pyrsia

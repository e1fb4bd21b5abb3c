// The words in which the tracker gives its reasons.
#include "host/reachability.hpp"

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

std::string age_text(Duration age) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < 120) return std::to_string(seconds) + " s ago";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min ago";
  return std::to_string(seconds / 3600) + " h ago";
}

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

ReachabilityTracker::Support ReachabilityTracker::support(Reachability says,
                                                          const Multiaddr* address,
                                                          TimePoint now) const {
  Support out;
  std::set<PeerId> servers;
  std::set<std::string> groups;
  for (const auto& one : evidence_) {
    if (one.says != says || now - one.at > config_.evidence_lifetime) continue;
    if (address && std::ranges::find(one.addresses, *address) == one.addresses.end()) continue;
    servers.insert(one.server);
    groups.insert(one.group);
    out.is_all_boot_peers &= one.is_boot_peer;
    out.last = one.at;
  }
  out.servers = servers.size();
  out.groups = groups.size();
  return out;
}

std::string ReachabilityTracker::reason(TimePoint now) const {
  if (status() == Reachability::unknown) return reason_for_unknown(now);
  const auto whole = status() == Reachability::reachable && public_address_
                         ? public_address_->to_string()
                         : std::string("us");
  const auto agree = support(status(), nullptr, now);
  const bool is_reachable = status() == Reachability::reachable;
  const auto oppose =
      support(is_reachable ? Reachability::unreachable : Reachability::reachable, nullptr, now);
  std::string text(name(status()));
  text += ": " + count_text(agree.servers, agree.is_all_boot_peers ? "boot peer" : "peer");
  if (agree.groups > 1) text += " in " + count_text(agree.groups, "different network");
  text += is_reachable ? " dialed " + whole + " back" : " tried to dial us back and failed";
  if (agree.last) text += ", last " + age_text(now - *agree.last);
  if (oppose.last && (!agree.last || *oppose.last > *agree.last))
    text += "; " + count_text(oppose.servers, "peer") + " said otherwise since";
  if (!is_reachable && port_mapping_ == PortMapping::endpoint_dependent)
    text += "; the NAT gives us another port for each peer";
  if (!is_reachable && inbound_connections_ > 0)
    text += "; yet " + count_text(inbound_connections_, "connection") + " came in";
  return text;
}

std::string ReachabilityTracker::reason_for_unknown(TimePoint now) const {
  std::string text = "unknown: ";
  if (refusal_)
    return text + "the last server would not probe us (" + refusal_->text + "), " +
           age_text(now - refusal_->at);
  if (!why_unknown_.empty()) return text + why_unknown_;
  if (addresses_.empty()) return text + "no address to be probed at is known yet";
  return text + "no server has answered a probe yet";
}

std::string ReachabilityTracker::reason(const Multiaddr& address, const Verdict& verdict,
                                        TimePoint now) const {
  if (verdict.status() == Reachability::unknown) return "not probed yet";
  const auto agree = support(verdict.status(), &address, now);
  std::string text = count_text(agree.servers, agree.is_all_boot_peers ? "boot peer" : "peer");
  if (agree.groups > 1) text += " in " + count_text(agree.groups, "different network");
  text += verdict.status() == Reachability::reachable ? " dialed it back"
                                                      : " tried to dial it back and failed";
  if (agree.last) text += ", last " + age_text(now - *agree.last);
  return text;
}

}  // namespace host
}  // namespace pyrsia

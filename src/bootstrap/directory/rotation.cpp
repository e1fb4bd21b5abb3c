#include "bootstrap/directory/rotation.hpp"

#include <algorithm>
#include <utility>

namespace pyrsia::bootstrap {

Result<MemberEntries> own_entries(const StatusDocument& document,
                                  const AddressClassifier& classifier, std::string& why) {
  if (!document.peer_id) {
    why = "its peer_id is absent or not a peer id";
    return Errc::malformed;
  }
  MemberEntries entries{*document.peer_id, {}};
  for (const auto& address : document.peer_addrs) {
    if (entries.addresses.size() == kMaxMemberAddresses) break;
    if (address.peer_id() != entries.peer || !classifier.is_usable_by_others(address)) continue;
    entries.addresses.push_back(address);
  }
  if (entries.addresses.empty()) {
    why = "it lists no address of its own that others can use";
    return Errc::unavailable;
  }
  return entries;
}

Members::Members(const std::vector<std::string>& urls, int max_failures)
    : max_failures_(max_failures) {
  for (const auto& url : urls) members_.push_back({url, std::nullopt, 0, ""});
}

Members::Change Members::succeeded(std::size_t index, MemberEntries entries) {
  auto& member = members_[index];
  member.failures = 0;
  member.last_problem.clear();
  const auto change = !member.entries              ? Change::entered
                      : *member.entries != entries ? Change::updated
                                                   : Change::none;
  member.entries = std::move(entries);
  return change;
}

Members::Change Members::failed(std::size_t index, std::string why) {
  auto& member = members_[index];
  member.last_problem = std::move(why);
  if (member.failures < max_failures_) ++member.failures;
  if (member.failures < max_failures_ || !member.entries) return Change::none;
  member.entries.reset();
  return Change::left;
}

std::size_t Members::healthy_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(members_, &Member::is_healthy));
}

std::vector<std::vector<Multiaddr>> rotations(std::span<const MemberEntries> members) {
  std::vector<const MemberEntries*> listed;
  for (const auto& member : members) {
    const auto is_same = [&](const auto* other) { return other->peer == member.peer; };
    if (!member.addresses.empty() && std::ranges::none_of(listed, is_same)) {
      listed.push_back(&member);
    }
  }
  if (listed.empty()) return {{}};
  std::vector<std::vector<Multiaddr>> turns(listed.size());
  for (std::size_t turn = 0; turn < listed.size(); ++turn) {
    for (std::size_t i = 0; i < listed.size(); ++i) {
      const auto& addresses = listed[(turn + i) % listed.size()]->addresses;
      auto& list = turns[turn];
      list.insert(list.end(), addresses.begin(), addresses.end());
    }
  }
  return turns;
}

}  // namespace pyrsia::bootstrap

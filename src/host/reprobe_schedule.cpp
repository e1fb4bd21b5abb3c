#include "host/reprobe_schedule.hpp"

#include <algorithm>

namespace pyrsia::host {

void ReprobeSchedule::set_addresses(const std::set<Multiaddr>& addresses, TimePoint now) {
  std::erase_if(plans_, [&](const auto& entry) { return !addresses.contains(entry.first); });
  for (const auto& address : addresses)
    plans_.try_emplace(address,
                       Plan{now + config_.first_pause, config_.first_pause, false, 0, now});
}

void ReprobeSchedule::judged(const Multiaddr& address, Reachability status, bool is_confirmed,
                             TimePoint now) {
  const auto at = plans_.find(address);
  if (at == plans_.end()) return;
  auto& plan = at->second;
  if (!is_confirmed) {
    plan.due = now + plan.pause;
    return;
  }
  plan.pause = config_.first_pause;
  plan.due = now + (status == Reachability::unreachable ? config_.unreachable_interval
                                                        : config_.reachable_interval);
}

void ReprobeSchedule::doubt(const Multiaddr& address, TimePoint now) {
  const auto at = plans_.find(address);
  if (at == plans_.end()) return;
  auto& plan = at->second;
  if (now - plan.doubts_since >= config_.doubts_window) {
    plan.doubts_since = now;
    plan.doubts = 0;
  }
  if (plan.doubts >= config_.max_doubts) return;
  ++plan.doubts;
  plan.is_in_doubt = true;
  plan.pause = config_.first_pause;
}

void ReprobeSchedule::doubt_all() {
  for (auto& [address, plan] : plans_) {
    plan.is_in_doubt = true;
    plan.pause = config_.first_pause;
  }
}

void ReprobeSchedule::tick(TimePoint now) {
  for (auto& [address, plan] : plans_) {
    if (now <= plan.due) continue;
    plan.pause = std::min(plan.pause * 2, config_.longest_pause);
    plan.due = now + plan.pause;
  }
}

std::optional<TimePoint> ReprobeSchedule::next_round() const {
  std::optional<TimePoint> first;
  for (const auto& [address, plan] : plans_)
    if (!first || plan.due < *first) first = plan.due;
  return first;
}

std::vector<Multiaddr> ReprobeSchedule::take_doubted() {
  std::vector<Multiaddr> out;
  for (auto& [address, plan] : plans_)
    if (std::exchange(plan.is_in_doubt, false)) out.push_back(address);
  return out;
}

}  // namespace pyrsia::host

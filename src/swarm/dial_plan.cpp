#include "swarm/dial_plan.hpp"

#include <algorithm>

namespace pyrsia::swarm {
namespace {

bool is_v6(const Multiaddr& address) {
  const auto ip = address.ip();
  return ip && ip->is_v6();
}

std::size_t lane_of(AddressClass address_class) {
  if (address_class == AddressClass::global) return 0;
  return address_class == AddressClass::loopback ? 2 : 1;
}

}  // namespace

int closeness(Error error) {
  if (error == Errc::wrong_peer) return 7;
  // Somebody answered, and the handshake went wrong.
  for (const auto code : {Errc::bad_signature, Errc::not_supported, Errc::protocol_violation,
                          Errc::malformed, Errc::too_large})
    if (error == code) return 6;
  if (error == Errc::closed || error == Errc::reset) return 5;
  if (error == Errc::refused) return 4;
  if (error == Errc::timed_out) return 3;
  if (error == Errc::unreachable) return 2;
  return error == Errc::unavailable ? 0 : 1;
}

std::size_t DialPlan::Lane::next() const {
  const auto tier_of = [](const Candidate& candidate) { return candidate.tier; };
  const auto first = std::ranges::min_element(waiting, {}, tier_of)->tier;
  const auto of_tier = std::ranges::find(waiting, first, tier_of);
  // IPv6 first, then the other family; of the rest the order does not matter.
  const bool is_first = first != tier || started == 0;
  const bool wants_v6 = is_first || !is_last_v6;
  const auto wanted = std::ranges::find_if(waiting, [&](const Candidate& candidate) {
    return candidate.tier == first && is_v6(candidate.address) == wants_v6;
  });
  const bool is_choosing = is_first || started == 1;
  const auto found = is_choosing && wanted != waiting.end() ? wanted : of_tier;
  return std::size_t(found - waiting.begin());
}

TimePoint DialPlan::Lane::next_start() const {
  if (due) return *due;
  const auto& candidate = waiting[next()];
  if (candidate.tier != tier) return last_start + (candidate.tier <= Tier::tcp ? step : rest);
  const bool is_with_the_rest = started > 2 || (started == 2 && !has_both);
  return is_with_the_rest ? last_start : last_start + step;
}

bool DialPlan::add(const Multiaddr& address, AddressClass address_class, TimePoint now,
                   bool is_last_resort) {
  if (known_.size() >= rules_.addresses) return false;
  if (std::ranges::find(known_, address) != known_.end()) return false;
  const auto endpoint = address.endpoint();
  // Nothing is gained by a WebSocket where the port takes plain connections.
  if (address.is_websocket() && endpoint &&
      std::ranges::find(known_, Multiaddr::tcp(*endpoint)) != known_.end())
    return false;
  known_.push_back(address);
  const auto index = lane_of(address_class);
  auto& lane = lanes_[index];
  lane.step = index == 0 ? rules_.global_step : rules_.private_step;
  lane.rest = index == 0 ? rules_.global_rest : rules_.private_rest;
  if (address.is_plain_tcp())
    std::erase_if(lane.waiting, [&](const Candidate& each) {
      return each.address.is_websocket() && each.address.endpoint() == endpoint;
    });
  const auto tier = is_last_resort           ? Tier::last_resort
                    : address.is_quic_v1()   ? Tier::quic
                    : address.is_plain_tcp() ? Tier::tcp
                                             : Tier::other;
  lane.waiting.push_back({address, tier});
  // A lane that has run dry starts at once again, as no dial of it holds the next one back.
  const bool is_running = std::ranges::find(attempts_, index, &Attempt::lane) != attempts_.end();
  if (!is_running) lane.due = std::min(lane.due.value_or(now), now);
  return true;
}

std::optional<Multiaddr> DialPlan::start_next(TimePoint now) {
  if (running() >= rules_.parallel || hold_until_ > now) return std::nullopt;
  for (std::size_t index = 0; index < lanes_.size(); ++index) {
    auto& lane = lanes_[index];
    if (lane.waiting.empty() || lane.next_start() > now) continue;
    const auto next = lane.waiting.begin() + std::ptrdiff_t(lane.next());
    const auto [address, tier] = std::move(*next);
    lane.waiting.erase(next);
    const bool is_first = tier != lane.tier || lane.started == 0;
    const bool is_second = !is_first && lane.started == 1;
    if (is_first) lane.has_both = false;
    if (is_second) lane.has_both = lane.is_last_v6 != is_v6(address);
    lane.started = is_first ? 1 : lane.started + 1;
    lane.tier = tier;
    lane.is_last_v6 = is_v6(address);
    lane.last_start = now;
    lane.due.reset();
    attempts_.push_back({address, index});
    return address;
  }
  return std::nullopt;
}

std::optional<TimePoint> DialPlan::next_start() const {
  if (running() >= rules_.parallel) return std::nullopt;
  std::optional<TimePoint> first;
  for (const auto& lane : lanes_) {
    if (lane.waiting.empty()) continue;
    const auto start = std::max(lane.next_start(), hold_until_);
    first = std::min(first.value_or(start), start);
  }
  return first;
}

void DialPlan::connected(const Multiaddr& address, TimePoint now) {
  const auto attempt = std::ranges::find(attempts_, address, &Attempt::address);
  if (attempt != attempts_.end()) hold_until_ = now + lanes_[attempt->lane].step;
}

void DialPlan::failed(const Multiaddr& address, Error error, TimePoint now) {
  const auto attempt = std::ranges::find(attempts_, address, &Attempt::address);
  if (attempt == attempts_.end()) return;
  auto& lane = lanes_[attempt->lane];
  lane.due = std::min(lane.due.value_or(now), now);
  hold_until_ = {};
  attempts_.erase(attempt);
  if (closeness(error) >= closeness(error_)) error_ = error;
}

bool DialPlan::is_running(const Multiaddr& address) const {
  return std::ranges::find(attempts_, address, &Attempt::address) != attempts_.end();
}

bool DialPlan::is_exhausted() const {
  return attempts_.empty() &&
         std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.waiting.empty(); });
}

}  // namespace pyrsia::swarm

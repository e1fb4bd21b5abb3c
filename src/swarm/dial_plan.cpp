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

bool DialPlan::add(const Multiaddr& address, AddressClass address_class, TimePoint now) {
  if (known_.size() >= rules_.addresses) return false;
  if (std::ranges::find(known_, address) != known_.end()) return false;
  known_.push_back(address);
  const auto index = lane_of(address_class);
  auto& lane = lanes_[index];
  lane.step = index == 0 ? rules_.global_step : rules_.private_step;
  lane.waiting.push_back(address);
  // A lane that has run dry starts at once again, as no dial of it holds the next one back.
  const bool is_running = std::ranges::find(attempts_, index, &Attempt::lane) != attempts_.end();
  if (!is_running) lane.next_start = std::min(lane.next_start, now);
  return true;
}

std::optional<Multiaddr> DialPlan::start_next(TimePoint now) {
  if (running() >= rules_.parallel) return std::nullopt;
  for (std::size_t index = 0; index < lanes_.size(); ++index) {
    auto& lane = lanes_[index];
    if (lane.waiting.empty() || lane.next_start > now) continue;
    auto next = std::ranges::find(lane.waiting, !lane.is_last_v6, is_v6);
    if (next == lane.waiting.end()) next = lane.waiting.begin();
    auto address = std::move(*next);
    lane.waiting.erase(next);
    lane.is_last_v6 = is_v6(address);
    lane.next_start = now + lane.step;
    attempts_.push_back({address, index});
    return address;
  }
  return std::nullopt;
}

std::optional<TimePoint> DialPlan::next_start() const {
  if (running() >= rules_.parallel) return std::nullopt;
  std::optional<TimePoint> first;
  for (const auto& lane : lanes_)
    if (!lane.waiting.empty()) first = std::min(first.value_or(lane.next_start), lane.next_start);
  return first;
}

void DialPlan::failed(const Multiaddr& address, Error error, TimePoint now) {
  const auto attempt = std::ranges::find(attempts_, address, &Attempt::address);
  if (attempt == attempts_.end()) return;
  auto& lane = lanes_[attempt->lane];
  lane.next_start = std::min(lane.next_start, now);
  attempts_.erase(attempt);
  if (closeness(error) >= closeness(error_)) error_ = error;
}

bool DialPlan::is_exhausted() const {
  return attempts_.empty() &&
         std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.waiting.empty(); });
}

}  // namespace pyrsia::swarm

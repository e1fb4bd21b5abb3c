#include "runtime/timer.hpp"

namespace pyrsia {

Timer::~Timer() {
  if (queue_) queue_->disarm(*this);
}

void TimerQueue::arm(Timer& timer, TimePoint at) {
  if (timer.queue_) timer.queue_->disarm(timer);
  timer.at_ = timers_.emplace(at, &timer);
  timer.queue_ = this;
}

void TimerQueue::disarm(Timer& timer) noexcept {
  if (!timer.queue_) return;
  timers_.erase(timer.at_);
  timer.queue_ = nullptr;
}

std::optional<TimePoint> TimerQueue::next() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

bool TimerQueue::expire_one(TimePoint now) {
  if (timers_.empty() || timers_.begin()->first > now) return false;
  auto& timer = *timers_.begin()->second;
  disarm(timer);
  timer.expired();
  return true;
}

}  // namespace pyrsia

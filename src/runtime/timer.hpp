#pragma once

#include <pyrsia/time.hpp>

#include <map>
#include <optional>

namespace pyrsia {

class TimerQueue;

/// Something that happens once at a time. Disarmed by its destructor; the queue must outlive it.
class Timer {
 public:
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

 protected:
  Timer() = default;

 private:
  friend class TimerQueue;
  /// Called once by the queue when the time has come; the timer is disarmed by then.
  virtual void expired() = 0;

  TimerQueue* queue_ = nullptr;
  std::multimap<TimePoint, Timer*>::iterator at_;
};

/// All timers of one Env, earliest first, in order of arming where times are equal.
class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// Arms `timer`, again if it was armed.
  void arm(Timer& timer, TimePoint at);
  void disarm(Timer& timer) noexcept;
  std::optional<TimePoint> next() const;
  /// Expires the first timer that is due. False if none is.
  bool expire_one(TimePoint now);

 private:
  std::multimap<TimePoint, Timer*> timers_;
};

}  // namespace pyrsia

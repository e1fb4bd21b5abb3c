#include "host/event_queue.hpp"

namespace pyrsia {

void EventQueue::push(HostEvent event) {
  if (is_closed_) return;
  if (events_.size() == kMaxEvents) {
    events_.pop_front();
    dropped_.add();
  }
  events_.push_back(std::move(event));
  changed_.notify();
}

void EventQueue::close() {
  is_closed_ = true;
  changed_.notify();
}

Task<HostEvent> EventQueue::next() {
  while (events_.empty()) {
    if (is_closed_) co_return Errc::closed;
    PYRSIA_CO_TRY(co_await changed_.wait());
  }
  auto event = std::move(events_.front());
  events_.pop_front();
  co_return event;
}

}  // namespace pyrsia

#include "host/event_queue.hpp"

namespace pyrsia {

std::string_view name(PortMappingChanged::Stage stage) noexcept {
  using Stage = PortMappingChanged::Stage;
  switch (stage) {
    case Stage::made: return "made";
    case Stage::changed: return "changed";
    case Stage::lost: return "lost";
    case Stage::confirmed: return "confirmed";
    case Stage::broken: return "broken";
  }
  return "";
}

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

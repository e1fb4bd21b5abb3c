#include "event_feed.hpp"

#include "runtime/timeout.hpp"

namespace pyrsia::app {
namespace {

/// Keeps an element in a list for as long as it lives.
template <class T>
class Entry {
 public:
  Entry(std::list<T>& list, T value) : list_(list), at_(list.insert(list.end(), value)) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() { list_.erase(at_); }

 private:
  std::list<T>& list_;
  typename std::list<T>::iterator at_;
};

}  // namespace

void EventFeed::send(const std::string& name, const std::string& json) {
  for (auto* subscriber : subscribers_) {
    if (subscriber->waiting.size() == kMaxWaiting) {
      subscriber->waiting.pop_front();
      ++subscriber->lost;
      lost_.add();
    }
    subscriber->waiting.push_back("event: " + name + "\ndata: " + json + "\n\n");
    subscriber->changed.notify();
  }
}

Task<> EventFeed::serve(http::Writer& writer) {
  Subscriber subscriber(env_);
  const Entry<Subscriber*> entry(subscribers_, &subscriber);
  std::string hello = ": events\n\n";
  PYRSIA_CO_TRY(co_await writer.write(hello));
  for (;;) {
    std::string text;
    if (subscriber.lost > 0) {
      text = ": lost " + std::to_string(std::exchange(subscriber.lost, 0)) + "\n\n";
    }
    while (!subscriber.waiting.empty()) {
      text += subscriber.waiting.front();
      subscriber.waiting.pop_front();
    }
    if (text.empty()) {
      const auto woken = co_await with_timeout(env_, kKeepAlive, subscriber.changed.wait());
      if (woken) continue;
      if (woken.error() != Errc::timed_out) co_return woken.error();
      text = ": still here\n\n";
    }
    PYRSIA_CO_TRY(co_await writer.write(text));
  }
}

}  // namespace pyrsia::app

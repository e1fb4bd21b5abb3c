#include "runtime/env.hpp"

#include "runtime/event.hpp"

#include <cassert>
#include <cstring>

namespace pyrsia {
namespace {

class WakeUp final : public Timer {
 public:
  explicit WakeUp(Event& event) : event_(event) {}

 private:
  void expired() override { event_.notify(); }

  Event& event_;
};

}  // namespace

Task<> Env::sleep_for(Duration duration) {
  Event event(executor());
  WakeUp wake_up(event);
  timers().arm(wake_up, now() + duration);
  co_return co_await event.wait();
}

std::uint64_t Env::random_below(std::uint64_t bound) {
  assert(bound > 0);
  // Draws that would favour small numbers are thrown away.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    std::array<std::uint8_t, 8> bytes{};
    random(bytes);
    std::uint64_t drawn = 0;
    std::memcpy(&drawn, bytes.data(), bytes.size());
    if (drawn < limit) return drawn % bound;
  }
}

}  // namespace pyrsia

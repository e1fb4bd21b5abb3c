#include "runtime/timeout.hpp"

#include "runtime/cancellation.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pyrsia::detail {
namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

class Limit final : public Timer {
 public:
  void cancel(asio::cancellation_type type) { signal_.emit(type); }
  asio::cancellation_slot slot() { return signal_.slot(); }
  bool has_passed() const { return has_passed_; }

 private:
  void expired() override {
    has_passed_ = true;
    signal_.emit(asio::cancellation_type::terminal);
  }

  asio::cancellation_signal signal_;
  bool has_passed_ = false;
};

}  // namespace

asio::awaitable<bool> limit_passes_first(Env& env, Duration limit, asio::awaitable<void> work) {
  Limit timer;
  env.timers().arm(timer, env.now() + limit);
  asio::cancellation_slot outer;
  // The work gets a cancellation of its own, which the timer and our caller's both feed.
  const auto initiate = [&](auto handler) {
    outer = asio::get_associated_cancellation_slot(handler);
    if (outer.is_connected())
      outer.assign([&timer](asio::cancellation_type type) { timer.cancel(type); });
    asio::co_spawn(env.executor(), std::move(work),
                   asio::bind_cancellation_slot(timer.slot(), std::move(handler)));
  };
  const auto [thrown] = co_await asio::async_initiate<decltype(kAsTuple), void(std::exception_ptr)>(
      initiate, kAsTuple);
  outer.clear();
  if (thrown && !is_cancellation(thrown)) std::rethrow_exception(thrown);
  co_return timer.has_passed();
}

}  // namespace pyrsia::detail

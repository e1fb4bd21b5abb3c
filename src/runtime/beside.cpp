#include "runtime/beside.hpp"

#include "runtime/cancellation.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pyrsia::detail {
namespace {

/// Two coroutines, and who waits for the end of both.
struct Pair {
  explicit Pair(Env& e) : env(e) {}

  void ended(const std::exception_ptr& thrown) {
    if (thrown && !is_cancellation(thrown)) std::rethrow_exception(thrown);  // A bug.
    // At the next turn, as what waits owns the signals that we are called through.
    if (--running == 0) asio::post(env.executor(), std::move(waiter));
  }

  Env& env;
  int running = 2;
  asio::cancellation_signal stop_work;
  asio::cancellation_signal stop_side;
  asio::any_completion_handler<void()> waiter;
};

}  // namespace

asio::awaitable<void> run_beside(Env& env, asio::awaitable<void> work, Task<> side) {
  Pair pair(env);
  asio::cancellation_slot outer;
  const auto initiate = [&](auto handler) {
    outer = asio::get_associated_cancellation_slot(handler);
    pair.waiter = std::move(handler);  // Before the slot is assigned: it does that too.
    if (outer.is_connected())
      outer.assign([&pair](asio::cancellation_type type) {
        pair.stop_work.emit(type);
        pair.stop_side.emit(type);
      });
    const auto work_ended = [&pair](const std::exception_ptr& thrown) {
      pair.stop_side.emit(asio::cancellation_type::terminal);
      pair.ended(thrown);
    };
    const auto side_ended = [&pair](const std::exception_ptr& thrown, const Result<>&) {
      pair.ended(thrown);
    };
    asio::co_spawn(env.executor(), std::move(work),
                   asio::bind_cancellation_slot(pair.stop_work.slot(), work_ended));
    asio::co_spawn(env.executor(), std::move(side),
                   asio::bind_cancellation_slot(pair.stop_side.slot(), side_ended));
  };
  co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(initiate,
                                                                       asio::use_awaitable);
  outer.clear();
}

}  // namespace pyrsia::detail

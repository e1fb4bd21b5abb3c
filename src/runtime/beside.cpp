#include "runtime/beside.hpp"

#include "runtime/cancellation.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>

namespace pyrsia {
namespace {

/// Coroutines that run at the same time, and who waits for the end of them all.
struct Running {
  Running(Env& e, std::size_t number) : env(e), count(number), stops(number) {}

  void ended(const std::exception_ptr& thrown) {
    if (thrown && !is_cancellation(thrown)) std::rethrow_exception(thrown);  // A bug.
    // At the next turn, as what waits owns the signals that we are called through.
    if (--count == 0) asio::post(env.executor(), std::move(waiter));
  }
  void stop_all(asio::cancellation_type type) {
    for (auto& stop : stops) stop.emit(type);
  }

  Env& env;
  std::size_t count;
  std::vector<asio::cancellation_signal> stops;
  asio::any_completion_handler<void()> waiter;
};

/// Has `start` start them; ends when all have ended. Cancels them all if it is cancelled itself.
asio::awaitable<void> wait_for_all(Running& running, std::function<void()> start) {
  asio::cancellation_slot outer;
  const auto initiate = [&](auto handler) {
    outer = asio::get_associated_cancellation_slot(handler);
    running.waiter = std::move(handler);  // Before the slot is assigned: it does that too.
    if (outer.is_connected())
      outer.assign([&running](asio::cancellation_type type) { running.stop_all(type); });
    start();
  };
  co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(initiate,
                                                                       asio::use_awaitable);
  outer.clear();
}

}  // namespace

asio::awaitable<void> run_all(Env& env, std::vector<Task<>> tasks) {
  if (tasks.empty()) co_return;
  Running running(env, tasks.size());
  const std::function<void()> start = [&] {
    const auto task_ended = [&running](const std::exception_ptr& thrown, const Result<>&) {
      running.ended(thrown);
    };
    for (std::size_t i = 0; i < tasks.size(); ++i)
      asio::co_spawn(env.executor(), std::move(tasks[i]),
                     asio::bind_cancellation_slot(running.stops[i].slot(), task_ended));
  };
  co_await wait_for_all(running, start);
}

asio::awaitable<void> detail::run_beside(Env& env, asio::awaitable<void> work, Task<> side) {
  Running running(env, 2);
  const std::function<void()> start = [&] {
    const auto work_ended = [&running](const std::exception_ptr& thrown) {
      running.stops[1].emit(asio::cancellation_type::terminal);
      running.ended(thrown);
    };
    const auto side_ended = [&running](const std::exception_ptr& thrown, const Result<>&) {
      running.ended(thrown);
    };
    asio::co_spawn(env.executor(), std::move(work),
                   asio::bind_cancellation_slot(running.stops[0].slot(), work_ended));
    asio::co_spawn(env.executor(), std::move(side),
                   asio::bind_cancellation_slot(running.stops[1].slot(), side_ended));
  };
  co_await wait_for_all(running, start);
}

}  // namespace pyrsia

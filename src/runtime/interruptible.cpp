#include "runtime/interruptible.hpp"

#include "runtime/cancellation.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pyrsia {
namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> store(Task<> task, Result<>& end) {
  end = co_await std::move(task);
}

}  // namespace

Task<> Interruptible::run(Env& env, Task<> work) {
  asio::cancellation_slot outer;
  Result<> end = Errc::cancelled;
  auto storing = store(std::move(work), end);
  // The work gets a cancellation of its own, which interrupt() and our caller's both feed.
  const auto initiate = [&](auto handler) {
    outer = asio::get_associated_cancellation_slot(handler);
    if (outer.is_connected())
      outer.assign([this](asio::cancellation_type type) { signal_.emit(type); });
    asio::co_spawn(env.executor(), std::move(storing),
                   asio::bind_cancellation_slot(signal_.slot(), std::move(handler)));
  };
  const auto [thrown] = co_await asio::async_initiate<decltype(kAsTuple), void(std::exception_ptr)>(
      initiate, kAsTuple);
  outer.clear();
  if (thrown && !is_cancellation(thrown)) std::rethrow_exception(thrown);
  co_return end;
}

void Interruptible::interrupt() {
  signal_.emit(asio::cancellation_type::terminal);
}

}  // namespace pyrsia

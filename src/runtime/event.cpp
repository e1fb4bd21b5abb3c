#include "runtime/event.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <utility>

namespace pyrsia {

void Event::notify() {
  if (waiter_) {
    complete(true);
  } else {
    notified_ = true;
  }
}

Task<> Event::wait() {
  if (std::exchange(notified_, false)) co_return ok;
  assert(!waiter_);
  const auto initiate = [this](auto handler) {
    slot_ = asio::get_associated_cancellation_slot(handler);
    waiter_ = std::move(handler);
    if (!slot_.is_connected()) return;
    slot_.assign([this](asio::cancellation_type) {
      if (waiter_) complete(false);
    });
  };
  const bool woken = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      initiate, asio::use_awaitable);
  if (!woken) co_return Errc::cancelled;
  co_return ok;
}

void Event::complete(bool woken) {
  // Posted, so that neither notify() nor a cancellation runs other code in the middle of its own.
  auto run = [waiter = std::move(waiter_), slot = slot_, woken]() mutable {
    slot.clear();
    std::move(waiter)(woken);
  };
  waiter_ = nullptr;
  asio::post(executor_, std::move(run));
}

}  // namespace pyrsia

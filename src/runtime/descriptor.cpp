#include "runtime/descriptor.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include <utility>

namespace pyrsia {

Result<> Descriptor::open(int number) {
  auto added = reactor_.add(number, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
  if (added) {
    number_ = number;
  } else {
    ::close(number);
  }
  return added;
}

void Descriptor::close() noexcept {
  const int number = std::exchange(number_, -1);
  if (number < 0) return;
  reactor_.remove(number, *this);
  ::close(number);
  may_read_ = may_write_ = true;
  readable_.notify();
  writable_.notify();
}

void Descriptor::ready(std::uint32_t events) {
  const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (failed || (events & EPOLLRDHUP) != 0) is_ended_ = true;
  if (failed || (events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    may_read_ = true;
    if (readable_.has_waiter()) readable_.notify();
  }
  if (failed || (events & EPOLLOUT) != 0) {
    may_write_ = true;
    if (writable_.has_waiter()) writable_.notify();
  }
}

Task<> Descriptor::wait(const bool& may_go, Event& event) {
  while (is_open() && !may_go) {
    calls_without_waiting_ = 0;
    PYRSIA_CO_TRY(co_await event.wait());
  }
  if (!is_open()) co_return Errc::closed;
  co_return ok;
}

Task<> Descriptor::share_the_thread() {
  calls_without_waiting_ = 0;
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  if (!is_open()) co_return Errc::closed;
  co_return ok;
}

}  // namespace pyrsia

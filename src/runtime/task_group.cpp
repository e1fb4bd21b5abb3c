#include "runtime/task_group.hpp"

#include "runtime/cancellation.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstdlib>

namespace pyrsia {

TaskGroup::~TaskGroup() {
  if (!running_.empty()) std::abort();
}

void TaskGroup::spawn(Task<> task) {
  const auto self = running_.emplace(running_.end());
  auto on_end = [this, self](std::exception_ptr thrown, Result<>) {
    if (thrown && !is_cancellation(thrown))
      std::rethrow_exception(thrown);  // A bug: stop the program.
    running_.erase(self);
    if (running_.empty()) empty_.notify();
  };
  asio::co_spawn(env_.executor(), std::move(task),
                 asio::bind_cancellation_slot(self->slot(), on_end));
}

void TaskGroup::cancel() {
  for (auto& signal : running_) signal.emit(asio::cancellation_type::terminal);
}

Task<> TaskGroup::join() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  while (!running_.empty()) PYRSIA_CO_TRY(co_await empty_.wait());
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return ok;
}

Task<> TaskGroup::wait_until_empty() {
  while (!running_.empty()) PYRSIA_CO_TRY(co_await empty_.wait());
  co_return ok;
}

}  // namespace pyrsia

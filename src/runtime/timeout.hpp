#pragma once

#include "runtime/env.hpp"

#include <optional>
#include <utility>

namespace pyrsia {

namespace detail {

template <class T>
asio::awaitable<void> store(Task<T> task, std::optional<Result<T>>& out) {
  out.emplace(co_await std::move(task));
}

/// Runs `work` to its end; cancels it once `limit` has passed. True if the limit passed first.
asio::awaitable<bool> limit_passes_first(Env& env, Duration limit, asio::awaitable<void> work);

}  // namespace detail

/// Runs `task` for at most `limit`. Errors: `Errc::timed_out`, and those of `task`.
/// When the limit passes, `task` is cancelled and has ended before this returns.
template <class T>
Task<T> with_timeout(Env& env, Duration limit, Task<T> task) {
  std::optional<Result<T>> out;
  auto work = detail::store(std::move(task), out);
  const bool is_late = co_await detail::limit_passes_first(env, limit, std::move(work));
  // A task that succeeded at the last moment keeps its result.
  if (out && (*out || !is_late)) co_return *std::move(out);
  if (is_late) co_return Errc::timed_out;
  co_return Errc::cancelled;
}

}  // namespace pyrsia

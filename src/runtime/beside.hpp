#pragma once

#include "runtime/env.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace pyrsia {

namespace detail {

/// Ends when `work` has ended, and `side`, which is cancelled then.
asio::awaitable<void> run_beside(Env& env, asio::awaitable<void> work, Task<> side);

template <class T>
asio::awaitable<void> keep(Task<T> task, std::optional<Result<T>>& out) {
  out.emplace(co_await std::move(task));
}

}  // namespace detail

/// Runs all at the same time, and ends when they have ended: none goes on after it, also when the
/// caller is cancelled. Errors: none; each task reports what matters itself.
asio::awaitable<void> run_all(Env& env, std::vector<Task<>> tasks);

/// Runs `side` at the same time as `task`, and no longer. What both use outlives the call: neither
/// goes on after it, also when the caller is cancelled. Errors: those of `task`; `side` reports
/// what matters itself.
template <class T>
Task<T> with_beside(Env& env, Task<T> task, Task<> side) {
  std::optional<Result<T>> out;
  auto work = detail::keep(std::move(task), out);
  co_await detail::run_beside(env, std::move(work), std::move(side));
  if (!out) co_return Errc::cancelled;
  co_return *std::move(out);
}

}  // namespace pyrsia

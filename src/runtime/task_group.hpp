#pragma once

#include "runtime/env.hpp"
#include "runtime/event.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <list>

namespace pyrsia {

/// Owns background tasks, so that none outlives what it uses. A class with background
/// work has a TaskGroup as its last member, and a stop() that cancels and joins it.
class TaskGroup {
 public:
  explicit TaskGroup(Env& env) : env_(env), empty_(env.executor()) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();  ///< Aborts the program if a task is still running: the owner forgot stop().

  /// Starts `task`. Its error ends it and nothing else: a task reports what matters itself.
  void spawn(Task<> task);
  /// Asks every task to stop. Returns at once.
  void cancel();
  std::size_t size() const { return running_.size(); }
  /// Ends when no task is left. Cannot be cancelled, and what was asked meanwhile is forgotten: for
  /// stop() of the owner only, not for a task that goes on afterwards. Errors: none.
  Task<> join();
  /// The same for a task that may be cancelled itself. Errors: `Errc::cancelled`.
  Task<> wait_until_empty();

 private:
  Env& env_;
  std::list<asio::cancellation_signal> running_;
  Event empty_;
};

}  // namespace pyrsia

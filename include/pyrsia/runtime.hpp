#pragma once

#include <pyrsia/task.hpp>

#include <functional>
#include <memory>

namespace pyrsia {

class Env;

/// The thread that hosts live on: an event loop with clock, sockets, DNS and HTTP client.
/// Must outlive the hosts made on it.
class Runtime {
 public:
  Runtime();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Runs `main`, and all that it starts, on this thread until `main` has ended. Returns its
  /// result.
  Result<> run(Task<> main);
  /// The same; SIGINT and SIGTERM call `on_signal` instead of ending the program.
  Result<> run(Task<> main, std::function<void(int signal)> on_signal);

  Env& env() { return *env_; }

 private:
  std::unique_ptr<Env> env_;
};

}  // namespace pyrsia

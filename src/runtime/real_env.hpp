#pragma once

#include "runtime/env.hpp"

#include <memory>
#include <string>

namespace pyrsia {

struct RealEnvConfig {
  std::string user_agent = "pyrsia/0.1.0";  ///< Of HTTP requests.
  Duration dns_timeout = std::chrono::seconds(5);
  std::string dns_servers;  ///< "IP[:port],…" instead of the system's; for tests.
};

/// The Env of a real program: epoll sockets (Asio), DNS (c-ares), HTTP (libcurl).
/// Make it, spawn tasks on its executor, call run().
std::unique_ptr<Env> make_real_env(const RealEnvConfig& config);

/// Runs `main` and everything spawned on `env`, which came from make_real_env(), until `main` has
/// ended; returns its result. SIGINT and SIGTERM call `on_signal` (on this thread), if given.
Result<> run(Env& env, Task<> main, std::function<void(int signal)> on_signal);

}  // namespace pyrsia

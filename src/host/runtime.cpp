#include "runtime/real_env.hpp"

#include <pyrsia/runtime.hpp>

namespace pyrsia {

Runtime::Runtime() : env_(make_real_env(RealEnvConfig())) {}

Runtime::~Runtime() = default;

Result<> Runtime::run(Task<> main) {
  return run(std::move(main), nullptr);
}

Result<> Runtime::run(Task<> main, std::function<void(int signal)> on_signal) {
  return pyrsia::run(*env_, std::move(main), std::move(on_signal));
}

}  // namespace pyrsia

#pragma once

#include <chrono>

namespace pyrsia {

using Duration = std::chrono::nanoseconds;
/// Monotonic time, from Env::now() only: real in a program, virtual in a simulation.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// Calendar time, for what is stored or sent: expiries, record sequence numbers.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

}  // namespace pyrsia

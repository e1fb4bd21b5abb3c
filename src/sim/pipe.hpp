#pragma once

#include "runtime/env.hpp"

#include <pyrsia/stream.hpp>

#include <memory>
#include <utility>

namespace pyrsia::sim {

struct PipeConfig {
  Duration one_way_delay{0};
  int fail_after = -1;  ///< Reset the pipe at this operation (0 is the first). Negative: never.
  std::size_t max_read_bytes = SIZE_MAX;  ///< A read returns no more: 1 finds wrong assumptions.
  std::size_t buffer_bytes = SIZE_MAX;    ///< A write waits while more than this is unread.
};

/// Two connected streams. Both must be destroyed before `env`.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(Env& env, PipeConfig config);

}  // namespace pyrsia::sim

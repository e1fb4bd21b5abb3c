#pragma once

#include "swarm/connection.hpp"

#include <pyrsia/stream.hpp>

#include <functional>
#include <memory>
#include <string>

namespace pyrsia::swarm {

/// A stream that a peer opened, its protocol agreed on. The handler owns it.
struct IncomingStream {
  std::unique_ptr<Stream> stream;
  std::string protocol;
  ConnectionInfo connection;
};

/// Whom a protocol is served to. To all others it does not exist.
using Audience = std::function<bool(const PeerId&)>;

/// Serves one stream. Runs as a task of the swarm; must bound its own waits.
using StreamHandler = std::function<Task<>(IncomingStream)>;

}  // namespace pyrsia::swarm

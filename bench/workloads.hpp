#pragma once

#include "node.hpp"

namespace pyrsia::bench {

struct Load {
  Endpoint remote;
  int at_once = 1;  ///< Streams of the one connection, or connections.
  Duration duration = std::chrono::seconds(5);
};

/// Sends on `at_once` streams of one connection; prints Gbit/s of what arrived.
Task<> throughput(Node& node, Load load);
/// Makes connections, `at_once` at a time, each with one request on one stream; prints how many
/// a second.
Task<> setup(Node& node, Load load);

}  // namespace pyrsia::bench

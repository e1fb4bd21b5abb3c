#pragma once

#include "workloads.hpp"

namespace pyrsia::bench {

/// Answers Noise handshakes on bare TCP connections, and closes each when it is done.
Task<> serve_handshakes(Env& env, Multiaddr address);
/// TCP connections with a Noise handshake, so many at once.
Task<> handshakes(Env& env, Load load);

}  // namespace pyrsia::bench

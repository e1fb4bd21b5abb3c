/// One round of ping over a stream.
/// Spec: libp2p/specs, ping/ping.md.
#pragma once

#include "runtime/env.hpp"

#include <pyrsia/stream.hpp>

#include <cstddef>
#include <string_view>

namespace pyrsia::ping {

inline constexpr std::string_view kProtocol = "/ipfs/ping/1.0.0";
inline constexpr std::size_t kPayloadBytes = 32;

/// Sends random bytes and waits for them to come back; returns how long that took. May be called
/// again on the same stream. Errors: those of the stream, and `Errc::protocol_violation` if other
/// bytes come back. No time limit of its own.
Task<Duration> ask(Env& env, Stream& stream);

/// Sends back one payload. False if the peer has ended the stream instead.
/// Errors: those of the stream; `Errc::closed` if it ends within a payload.
Task<bool> echo(Stream& stream);

}  // namespace pyrsia::ping

#pragma once

#include <pyrsia/stream.hpp>

#include <cstddef>

namespace pyrsia::wire {

/// What a peer may still send while we wait for its end, in bytes. Our limit.
inline constexpr std::size_t kMaxDrainBytes = 64 * 1024;

/// Ends our side and waits until the peer has ended its own, dropping what it still sends. To be
/// called by whoever speaks last: a stream that is destroyed before is reset, and peers drop what
/// they have not yet read of a stream that is reset.
/// Errors: `Errc::protocol_violation` if the peer goes on talking, those of the stream.
Task<> finish(Stream& stream);

}  // namespace pyrsia::wire

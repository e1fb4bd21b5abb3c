/// One Identify exchange: the same bytes in either protocol, only who speaks differs.
/// Spec: libp2p/specs, identify/README.md.
#pragma once

#include "protocols/identify/wire.hpp"

#include <pyrsia/stream.hpp>

#include <string_view>

namespace pyrsia::identify {

/// Whoever answers the stream sends.
inline constexpr std::string_view kProtocol = "/ipfs/id/1.0.0";
/// Whoever opens the stream sends.
inline constexpr std::string_view kPushProtocol = "/ipfs/id/push/1.0.0";

/// Sends `message`, already encoded, as one message, and waits until the peer has ended the stream.
/// Errors: those of wire::finish() and of the stream. No time limit of its own.
Task<> send(Stream& stream, Bytes message);

/// Reads all messages until the peer ends its side, then ends ours. A stream that breaks right
/// after a whole message counts as ended: some peers drop it instead of closing it. Errors: those
/// of decode() and of the stream. No time limit of its own.
Task<Message> receive(Stream& stream);

}  // namespace pyrsia::identify

/// One AutoNAT v1 exchange: a request and its answer, over a stream of its own.
/// Spec: libp2p/specs, autonat/autonat-v1.md.
#pragma once

#include "protocols/autonat/wire.hpp"

#include <pyrsia/stream.hpp>

#include <string_view>

namespace pyrsia::autonat {

inline constexpr std::string_view kProtocol = "/libp2p/autonat/1.0.0";

/// The client's side. Errors: those of decode_response() and of the stream; `Errc::closed` if the
/// server ends without an answer. No time limit of its own.
Task<DialResponse> request(Stream& stream, Dial dial);

/// The server's side, first half. Errors: those of decode_dial() and of the stream.
Task<Dial> receive_request(Stream& stream);

/// The server's side, second half; waits until the client has ended the stream. Errors: those of
/// wire::finish() and of the stream.
Task<> respond(Stream& stream, DialResponse response);

}  // namespace pyrsia::autonat

/// One exchange of /pyrsia/dial-back/1, over a stream of its own.
/// Spec: docs/adr/0017-dial-backs-by-siblings.md.
#pragma once

#include "protocols/autonat_v2/sibling/wire.hpp"

#include <pyrsia/stream.hpp>

#include <string_view>

namespace pyrsia::autonat_v2::sibling {

inline constexpr std::string_view kProtocol = "/pyrsia/dial-back/1";

/// The side of who needs help. Errors: those of decode_response() and of the stream; `Errc::closed`
/// if the sibling ends without an answer. No time limit of its own.
Task<Response> request(Stream& stream, Request request);

/// The side of who helps, first half. Errors: those of decode_request() and of the stream.
Task<Request> receive_request(Stream& stream);
/// Second half; waits until the other has ended the stream. Errors: those of wire::finish().
Task<> respond(Stream& stream, Response response);

}  // namespace pyrsia::autonat_v2::sibling

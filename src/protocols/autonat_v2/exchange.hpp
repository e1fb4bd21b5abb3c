/// The two exchanges of AutoNAT v2: a dial request and its answer, and a dial-back; each over a
/// stream of its own. Spec: libp2p/specs, autonat/autonat-v2.md, "AutoNAT V2 Protocol".
#pragma once

#include "protocols/autonat_v2/wire.hpp"

#include <pyrsia/stream.hpp>

#include <string_view>

namespace pyrsia::autonat_v2 {

inline constexpr std::string_view kDialRequestProtocol = "/libp2p/autonat/2/dial-request";
inline constexpr std::string_view kDialBackProtocol = "/libp2p/autonat/2/dial-back";

// None of these has a time limit of its own.

/// The client's side of a request. Pays the dial data that the server asks for, once, if it is
/// between kMinDialDataBytes and `max_dial_data_bytes`; `paid_bytes` counts it. The first answer
/// counts: js sends one for each address. Resets the stream on any error. Errors: `Errc::refused`
/// (we do not pay that), `Errc::protocol_violation` (no answer to the request), those of decode()
/// and of the stream; `Errc::closed` if the server ends without an answer.
Task<DialResponse> request(Stream& stream, DialRequest request, std::uint64_t max_dial_data_bytes,
                           std::uint64_t& paid_bytes);

/// The server's side. Errors: those of decode() and of the stream; `Errc::malformed` for another
/// message.
Task<DialRequest> receive_request(Stream& stream);
/// Asks for dial data and takes it, dropping it as it comes. Errors: `Errc::protocol_violation`
/// (another message, or chunks below kMinDialDataChunkBytes), those of decode() and of the stream.
Task<> collect_dial_data(Stream& stream, DialDataRequest request);
/// Ends the exchange; waits until the client has ended the stream. Errors: those of wire::finish().
Task<> respond(Stream& stream, DialResponse response);

/// The server's side of a dial-back: sends the nonce and waits until the client answers, or ends
/// the stream in order: it has read the nonce then. What it answers does not matter, as there is
/// one status only. Errors: those of the stream; `Errc::reset` if the client does not know the
/// nonce.
Task<> send_nonce(Stream& stream, std::uint64_t nonce);
/// The client's side, first half. Errors: those of decode_dial_back() and of the stream.
Task<std::uint64_t> receive_nonce(Stream& stream);
/// The client's side, second half: it has arrived. Waits for the server's end of the stream.
/// Errors: those of wire::finish().
Task<> confirm_nonce(Stream& stream);

}  // namespace pyrsia::autonat_v2

#pragma once

#include "nat/stun/client.hpp"
#include "nat/stun/server_name.hpp"

#include <pyrsia/stream.hpp>

#include <functional>
#include <memory>

namespace pyrsia::stun {

/// Makes the stream inside of a connection by TLS; which role, and which certificates, its maker
/// knows. Errors: those of a handshake.
using Secure = std::function<Task<std::unique_ptr<Stream>>(std::unique_ptr<Stream> connection)>;

/// Ti: how long a client waits for the answer over TCP or TLS. RFC 8489, 6.2.2.
inline constexpr Duration kTi = std::chrono::milliseconds(39500);

/// One Binding transaction over TCP or TLS: sent once, the transport sees to the rest. A flow: the
/// caller limits its time, to `kTi` if he knows no better. `transaction` is new, `server` is who is
/// at the other end. What else is wrong with an answer ends it: behind that nothing can be read.
/// Errors: those of the stream (`Errc::closed`: no answer, or half of one) and of
/// decode_response(), `Errc::malformed`, `Errc::too_large`, `Errc::protocol_violation` (another
/// transaction, or no response).
Task<Response> ask_stream(Stream& stream, Endpoint server, TransactionId transaction);

/// The same on a connection of its own, secured by `secure` if that is not empty; all of it takes
/// no longer than `limit`. Spec: RFC 8489, 6.2.2 and 6.2.3. An ALTERNATE-SERVER is not followed:
/// over UDP it was already, and over TLS it would have to be somebody whose name we do not know.
/// Errors: those of ask_stream(), of Env::tcp_connect() and of `secure`, `Errc::timed_out`.
Task<Response> ask_over_tcp(Env& env, Endpoint server, Secure secure, Duration limit);
/// Within `kTi`.
Task<Response> ask_over_tcp(Env& env, Endpoint server, Secure secure);

}  // namespace pyrsia::stun

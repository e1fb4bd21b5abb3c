#pragma once

#include "nat/stun/client.hpp"

#include <pyrsia/stream.hpp>

namespace pyrsia::stun {

/// One Binding transaction over TCP or TLS: sent once, the transport sees to the rest. A flow: the
/// caller limits its time (RFC 8489, 6.2.2: 39.5 s). `transaction` is new. Errors: those of the
/// stream, `Errc::malformed`, `Errc::too_large`, `Errc::protocol_violation` (another transaction,
/// or no response).
Task<Response> ask_stream(Stream& stream, TransactionId transaction);

}  // namespace pyrsia::stun

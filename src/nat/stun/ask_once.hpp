/// One question to a STUN server from a socket of its own. Spec: RFC 8489, 6.
#pragma once

#include "nat/stun/client.hpp"

namespace pyrsia::stun {

/// One Binding transaction, and goes where ALTERNATE-SERVER points, as Client::ask_and_follow().
/// Has no task besides itself: may be cancelled at any time, and then leaves nothing behind.
/// `query.change` and `query.response_port` are of no use here: an answer counts only from the
/// server that was asked. Errors: as Client::ask_and_follow() and Env::udp_bind(),
/// `Errc::cancelled`.
Task<Response> ask_once(Env& env, Query query);
/// The same of a server that may demand a proof of who asks: see LongTerm. Where an
/// ALTERNATE-SERVER points the same credentials serve. Errors: also `Errc::bad_signature` (answers
/// came, but none of who knows the password); `Errc::refused` also where the server takes no such
/// user.
Task<Response> ask_once(Env& env, Query query, Credentials credentials);

}  // namespace pyrsia::stun

/// Why connections end, in numbers of the wire and in ours.
#pragma once

#include "mux/muxer.hpp"

#include <pyrsia/error.hpp>

#include <ngtcp2/ngtcp2.h>

#include <cstdint>
#include <string_view>

namespace pyrsia::transport::quic {

/// The code of an application's CONNECTION_CLOSE. Spec: libp2p/specs, error-codes.
std::uint64_t close_code(mux::GoAway reason);

/// What the peer's CONNECTION_CLOSE means to us. Errors: `Errc::closed` (an orderly end, or its
/// own trouble), `Errc::refused` (it will not talk to us), `Errc::not_supported`,
/// `Errc::protocol_violation` (it says that we broke the rules).
Errc reason_of_peer(const ngtcp2_ccerr& error);

/// What an error of the QUIC library about a connection means. TLS refusals are told by the
/// session, which knows more.
Errc reason_of_library(int error);

/// For logs: "crypto error", "application".
std::string_view kind_of(const ngtcp2_ccerr& error);

}  // namespace pyrsia::transport::quic

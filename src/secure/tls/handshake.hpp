/// The TLS 1.3 handshake of libp2p over TCP, with the muxer agreed on by ALPN.
/// Spec: libp2p/specs, tls; connections, inlined-muxer-negotiation.
#pragma once

#include "base/role.hpp"
#include "crypto/tls_session.hpp"
#include "runtime/env.hpp"
#include "secure/channel.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/stream.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::secure::tls {

inline constexpr std::string_view kProtocol = "/tls/1.0.0";

/// Our side of every handshake: a certificate, made once, and the muxers that we speak.
class Identity {
 public:
  Identity(const KeyPair& key, std::vector<std::string> muxers);

  const crypto::TlsContext& context() const { return context_; }
  const std::vector<std::string>& muxers() const { return muxers_; }

 private:
  std::vector<std::string> muxers_;
  crypto::TlsContext context_;
};

/// Runs the handshake and takes the stream over; `identity` must outlive what comes of it. If
/// `expected` is given and another peer answers, it is told by an alert and gets no byte more.
/// Works over a stream from propose_lazily() too: the first message then travels with the proposal.
/// Reads no byte beyond the handshake. Has no timeout.
/// The initiator is done before the responder has judged it: a refusal is what the channel's first
/// read() ends with. Errors: those of TlsSession::handshake(), `Errc::malformed`,
/// `Errc::too_large`, those of the stream.
Task<Secured> handshake(Env& env, std::unique_ptr<Stream> stream, Role role,
                        const Identity& identity, std::optional<PeerId> expected);

}  // namespace pyrsia::secure::tls

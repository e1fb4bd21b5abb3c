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
  /// One connection's. If `expected` is given, nobody else may answer.
  std::unique_ptr<crypto::TlsSession> session(Role role, WallTime now,
                                              std::optional<PeerId> expected) const;
  const std::vector<std::string>& muxers() const { return muxers_; }

 private:
  std::vector<std::string> muxers_;
  crypto::TlsContext context_;
};

/// The messages of TLS's own, until `session` is ready for bytes. Reads no byte beyond them. A peer
/// that is refused is told so by an alert. Has no timeout. Errors: those of
/// TlsSession::handshake(), `Errc::malformed`, `Errc::too_large`, those of the stream.
Task<> shake_hands(Stream& stream, crypto::TlsSession& session);

/// Runs the handshake of `session`, which is one of `identity`'s, and takes the stream over;
/// `identity` must outlive what comes of it. If another peer answers than the session expects, it
/// is told by an alert and gets no byte more. Works over a stream from propose_lazily() too: the
/// first message then travels with the proposal. `detail`, if given, gets the failure in words.
/// Has no timeout.
/// The initiator is done before the responder has judged it: a refusal is what the channel's first
/// read() ends with. Errors: those of shake_hands(), `Errc::protocol_violation`.
Task<Secured> handshake(std::unique_ptr<Stream> stream, std::unique_ptr<crypto::TlsSession> session,
                        const Identity& identity, std::string* detail);
/// The same with a session made for it.
Task<Secured> handshake(Env& env, std::unique_ptr<Stream> stream, Role role,
                        const Identity& identity, std::optional<PeerId> expected);

}  // namespace pyrsia::secure::tls

/// The TLS under a secure WebSocket: that of the web. Spec: libp2p/specs, websockets.
#pragma once

#include "crypto/web_tls.hpp"
#include "runtime/env.hpp"

#include <pyrsia/stream.hpp>

#include <memory>
#include <string>

namespace pyrsia::transport::ws {

/// Whom we trust as client, and what we show as server. Owned by the transport.
class WebTls {
 public:
  /// `env` must outlive it. Trusts the roots of the system; shows nothing.
  explicit WebTls(Env& env) : env_(env) {}

  /// From now on. Errors: those of crypto::make_web_client().
  Result<> set_trust(const crypto::WebTrust& trust, std::string* detail);
  /// One of crypto::make_web_server(), from now on. Connections that are there keep theirs.
  void set_certificate(std::shared_ptr<const crypto::TlsContext> certificate) {
    certificate_ = std::move(certificate);
  }
  bool has_certificate() const { return certificate_ != nullptr; }

  /// The client's side, to a server that must have a certificate for `server_name`, a DNS name or
  /// an IP address. `detail`, if given, gets a failure in words. Has no timeout. Errors: those of
  /// secure::tls::shake_hands(), `Errc::invalid_argument` (no name for TLS).
  Task<std::unique_ptr<Stream>> connect(std::unique_ptr<Stream> stream, std::string server_name,
                                        std::string* detail);
  /// The server's side; there is a certificate. Otherwise the same.
  Task<std::unique_ptr<Stream>> accept(std::unique_ptr<Stream> stream, std::string* detail);

 private:
  Env& env_;
  std::shared_ptr<const crypto::TlsContext> client_;  // Made when first needed: roots cost memory.
  std::shared_ptr<const crypto::TlsContext> certificate_;
};

}  // namespace pyrsia::transport::ws

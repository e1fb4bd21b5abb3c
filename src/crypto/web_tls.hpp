/// TLS as the web has it: a server shows a certificate for its name, which leads to a root that
/// the client trusts. For WebSockets; peers prove who they are inside, by what libp2p has.
/// Spec: RFC 8446, 5246, 5280, 9525.
#pragma once

#include "crypto/tls_session.hpp"

#include <pyrsia/result.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace pyrsia::crypto {

/// Whose word a client takes.
struct WebTrust {
  /// Those that OpenSSL finds on this machine; its own variables SSL_CERT_FILE and SSL_CERT_DIR
  /// say where else to look.
  bool uses_system_roots = true;
  std::string extra_roots;  ///< More of them, in PEM.
};

/// For clients, all of them: TLS 1.3 or 1.2, ALPN "http/1.1". `detail`, if given, says what is
/// wrong. Errors: `Errc::malformed` (extra roots that cannot be read, or none where there should
/// be some).
Result<std::shared_ptr<const TlsContext>> make_web_client(const WebTrust& trust,
                                                          std::string* detail);

/// For servers: both in PEM, first the server's certificate, then those that lead to its root.
/// `detail` as above. Errors: `Errc::malformed` (the chain: none, unreadable, too weak a key, more
/// than 16), `Errc::invalid_argument` (the key: none, encrypted, or not that of the certificate).
Result<std::shared_ptr<const TlsContext>> make_web_server(std::string_view chain,
                                                          std::string_view key,
                                                          std::string* detail);

}  // namespace pyrsia::crypto

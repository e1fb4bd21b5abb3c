#pragma once

#include "host/web_certificate.hpp"
#include "nat/stun/stream_client.hpp"
#include "transport/ws/tls.hpp"

#include <memory>
#include <string>

namespace pyrsia::app {

/// The TLS of STUN, on both sides: shows the certificate of --tls-cert, which is read again when
/// its files change, and trusts the roots of this machine and --tls-ca. Must outlive who uses what
/// it gives.
class StunTls {
 public:
  StunTls(Env& env, WebTlsConfig config, Logger log);

  bool has_certificate() const { return certificate_.is_configured(); }
  /// Reads the certificate for the first time; nothing to do without one. Errors: as
  /// host::read_web_certificate().
  Task<> load(std::string* detail);
  /// Then, as long as it may. Ends when cancelled only, or at once without a certificate.
  Task<> watch();
  stun::Secure as_server();

  /// Reads whom to trust. Errors: as host::read_web_trust().
  Result<> read_trust(std::string* detail);
  /// To a server that must have a certificate for `name`, a DNS name or an IP address.
  stun::Secure as_client(const std::string& name);

 private:
  WebTlsConfig config_;
  transport::ws::WebTls tls_;
  host::WebCertificate certificate_;
};

}  // namespace pyrsia::app

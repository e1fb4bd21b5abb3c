/// TLS 1.3 as QUIC carries it, with certificates as libp2p has them. Spec: RFC 9001; libp2p/specs,
/// tls.
#pragma once

#include "base/role.hpp"
#include "crypto/certificate.hpp"
#include "runtime/env.hpp"

#include <pyrsia/key.hpp>

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <memory>
#include <optional>
#include <string_view>

namespace pyrsia::transport::quic {

/// The certificate by which we are known, ready for the library. Made once.
class Credentials {
 public:
  explicit Credentials(const KeyPair& host_key);
  /// Takes over what shows something else: for peers that are to be refused.
  explicit Credentials(gnutls_certificate_credentials_t made);

  gnutls_certificate_credentials_t get() const { return credentials_.get(); }
  gnutls_priority_t priority() const { return priority_.get(); }
  /// Of peers.
  crypto::VerifiedCertificates& known() const { return known_; }

 private:
  struct Free {
    void operator()(gnutls_certificate_credentials_st* credentials) const;
    void operator()(gnutls_priority_st* priority) const;
  };

  explicit Credentials(const crypto::Certificate& certificate);
  void use(const crypto::Certificate& certificate);

  std::unique_ptr<const crypto::CertificateSigner> signer_;  ///< The library points to it.
  std::unique_ptr<gnutls_certificate_credentials_st, Free> credentials_;
  std::unique_ptr<gnutls_priority_st, Free> priority_;
  mutable crypto::VerifiedCertificates known_;  ///< A memory, no state of ours.
};

/// What an alert is called: "Certificate is required". Empty: it has no name.
std::string_view name_of_alert(std::uint8_t alert);

/// The TLS of one connection. Must not move: the library points to it.
class TlsSession {
 public:
  /// `expected`: who must answer; none: anybody but `self`. `credentials` must outlive it.
  TlsSession(Env& env, const Credentials& credentials, Role role, std::optional<PeerId> expected,
             const PeerId& self);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Ties it to `connection`.
  void attach(ngtcp2_conn* connection);
  /// After the handshake nothing but its keys is needed, and those the connection has: gives back
  /// the rest. What the peer still says (tickets) is to be dropped.
  void release();
  bool is_released() const { return session_ == nullptr; }
  /// Who the peer is, once its certificate was accepted.
  const std::optional<PublicKey>& peer_key() const { return peer_key_; }
  /// Why its certificate was refused, if it was.
  Error refusal() const { return refusal_; }
  std::string_view fault() const { return fault_; }

 private:
  struct Free {
    void operator()(gnutls_session_int* session) const { gnutls_deinit(session); }
  };

  static int verify(gnutls_session_t session);
  Result<PublicKey> judge(gnutls_session_t session);

  Env& env_;
  const Credentials& credentials_;
  std::optional<PeerId> expected_;
  const PeerId& self_;
  ngtcp2_crypto_conn_ref reference_{};
  ngtcp2_conn* connection_ = nullptr;
  std::unique_ptr<gnutls_session_int, Free> session_;
  std::optional<PublicKey> peer_key_;
  Error refusal_;
  std::string_view fault_;
};

}  // namespace pyrsia::transport::quic

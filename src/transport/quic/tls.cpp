#include "transport/quic/tls.hpp"

#include "crypto/certificate.hpp"

#include <gnutls/abstract.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace pyrsia::transport::quic {
namespace {

/// AES-128-GCM first: it costs half of ChaCha20-Poly1305 where the processor helps.
constexpr const char* kPriority =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";

/// Not 0-RTT, not resumed: a resumed session would show no certificate. One key share, as everybody
/// has X25519: a second one would cost a key on another curve each time.
constexpr unsigned kFlags = GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET |
                            GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_KEY_SHARE_TOP;

/// More certificates than one are refused anyway.
constexpr unsigned kMaxCertificates = 4;

/// For calls that fail only for want of memory, or if we call them wrongly.
void must_succeed(int result) {
  if (result < 0) std::abort();
}

gnutls_datum_t datum(BytesView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

gnutls_certificate_credentials_t new_credentials() {
  gnutls_certificate_credentials_t made = nullptr;
  must_succeed(gnutls_certificate_allocate_credentials(&made));
  return made;
}

/// The library's own signatures on P-256 take twice as long.
int sign(gnutls_privkey_t, gnutls_sign_algorithm_t, void* signer, unsigned,
         const gnutls_datum_t* digest, gnutls_datum_t* signature) {
  const auto made =
      static_cast<const crypto::CertificateSigner*>(signer)->sign({digest->data, digest->size});
  if (made.empty()) return GNUTLS_E_PK_SIGN_FAILED;
  auto* bytes = static_cast<unsigned char*>(gnutls_malloc(made.size()));
  if (!bytes) return GNUTLS_E_MEMORY_ERROR;
  std::copy(made.begin(), made.end(), bytes);
  *signature = {bytes, static_cast<unsigned>(made.size())};
  return 0;
}

int describe_key(gnutls_privkey_t, unsigned flags, void*) {
  if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0) return GNUTLS_PK_ECDSA;
  if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0) return 256;
  if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0) {
    const auto scheme = GNUTLS_FLAGS_TO_SIGN_ALGO(flags);
    return scheme == GNUTLS_SIGN_ECDSA_SECP256R1_SHA256 || scheme == GNUTLS_SIGN_ECDSA_SHA256 ? 1
                                                                                              : 0;
  }
  if ((flags & GNUTLS_PRIVKEY_INFO_SIGN_ALGO) != 0) return GNUTLS_SIGN_ECDSA_SECP256R1_SHA256;
  return -1;
}

}  // namespace

void Credentials::Free::operator()(gnutls_certificate_credentials_st* credentials) const {
  gnutls_certificate_free_credentials(credentials);
}

void Credentials::Free::operator()(gnutls_priority_st* priority) const {
  gnutls_priority_deinit(priority);
}

Credentials::Credentials(const KeyPair& host_key)
    : Credentials(crypto::make_certificate(host_key)) {}

Credentials::Credentials(const crypto::Certificate& certificate) : Credentials(new_credentials()) {
  signer_ = std::make_unique<const crypto::CertificateSigner>(certificate);
  use(certificate);
}

Credentials::Credentials(gnutls_certificate_credentials_t made) : credentials_(made) {
  gnutls_priority_t priority = nullptr;
  must_succeed(gnutls_priority_init(&priority, kPriority, nullptr));
  priority_.reset(priority);
}

std::string_view name_of_alert(std::uint8_t alert) {
  const char* const name = gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
  return name ? std::string_view(name) : std::string_view();
}

void Credentials::use(const crypto::Certificate& certificate) {
  gnutls_privkey_t key = nullptr;
  must_succeed(gnutls_privkey_init(&key));
  must_succeed(gnutls_privkey_import_ext4(key,
                                          const_cast<crypto::CertificateSigner*>(signer_.get()),
                                          nullptr, sign, nullptr, nullptr, describe_key, 0));
  gnutls_pcert_st shown{};
  const auto der = datum(certificate.der);
  must_succeed(gnutls_pcert_import_x509_raw(&shown, &der, GNUTLS_X509_FMT_DER, 0));
  // What both hold is the credentials' from now on.
  must_succeed(gnutls_certificate_set_key(credentials_.get(), nullptr, 0, &shown, 1, key));
}

TlsSession::TlsSession(Env& env, const Credentials& credentials, Role role,
                       std::optional<PeerId> expected, const PeerId& self)
    : env_(env), credentials_(credentials), expected_(std::move(expected)), self_(self) {
  const bool is_server = role == Role::responder;
  gnutls_session_t session = nullptr;
  must_succeed(gnutls_init(&session, kFlags | (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT)));
  session_.reset(session);
  must_succeed(gnutls_priority_set(session, credentials.priority()));
  must_succeed(is_server ? ngtcp2_crypto_gnutls_configure_server_session(session)
                         : ngtcp2_crypto_gnutls_configure_client_session(session));
  reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
    return static_cast<TlsSession*>(reference->user_data)->connection_;
  };
  reference_.user_data = this;
  gnutls_session_set_ptr(session, &reference_);
  must_succeed(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials.get()));
  const auto alpn = datum(as_bytes("libp2p"));
  must_succeed(gnutls_alpn_set_protocols(session, &alpn, 1, GNUTLS_ALPN_MANDATORY));
  gnutls_session_set_verify_function(session, verify);
  if (is_server) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
}

void TlsSession::attach(ngtcp2_conn* connection) {
  connection_ = connection;
  ngtcp2_conn_set_tls_native_handle(connection, session_.get());
}

void TlsSession::release() {
  ngtcp2_conn_set_tls_native_handle(connection_, nullptr);
  session_.reset();
}

int TlsSession::verify(gnutls_session_t session) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  auto& self = *static_cast<TlsSession*>(reference->user_data);
  auto key = self.judge(session);
  if (!key) {
    self.refusal_ = key.error();
    return GNUTLS_E_CERTIFICATE_ERROR;
  }
  self.peer_key_ = *std::move(key);
  return 0;
}

Result<PublicKey> TlsSession::judge(gnutls_session_t session) {
  // The library, without its own idea of a protocol, would go on with an empty choice.
  gnutls_datum_t alpn{};
  if (gnutls_alpn_get_selected_protocol(session, &alpn) < 0) return Errc::not_supported;
  unsigned count = 0;
  const auto* raw = gnutls_certificate_get_peers(session, &count);
  std::vector<BytesView> chain;
  for (unsigned i = 0; raw && i < std::min(count, kMaxCertificates); ++i)
    chain.emplace_back(raw[i].data, raw[i].size);
  PYRSIA_TRY(auto key, credentials_.known().verify(chain, env_.wall_now(), fault_));
  const auto peer = key.peer_id();
  if (peer == self_ || (expected_ && *expected_ != peer)) {
    fault_ = "another peer than expected";
    return Errc::wrong_peer;
  }
  return key;
}

}  // namespace pyrsia::transport::quic

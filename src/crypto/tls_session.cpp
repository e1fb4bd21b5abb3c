#include "crypto/tls_session.hpp"

#include "crypto/error_queue.hpp"

#include <pyrsia/ip.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cassert>

namespace pyrsia::crypto {
namespace {

constexpr const char* kCiphers =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr const char* kSchemes =
    "ecdsa_secp256r1_sha256:ed25519:ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256:"
    "rsa_pss_rsae_sha384:rsa_pss_rsae_sha512";
/// A peer's certificate message. Our limit.
constexpr long kMaxCertificateListBytes = 2 * long(kMaxCertificateBytes);
/// Largest fragment of a sealed record (RFC 8446, 5.2).
constexpr std::size_t kMaxFragmentBytes = kTlsRecordBytes + 256;
constexpr std::uint8_t kFirstContentType = 20;
constexpr std::uint8_t kLastContentType = 23;

Bytes alpn_list(const std::vector<std::string>& protocols) {
  Bytes list;
  for (const auto& each : protocols) {
    list.push_back(std::uint8_t(each.size()));
    list.insert(list.end(), each.begin(), each.end());
  }
  return list;
}

/// The first of the client's protocols that we know. The table of RFC 7301 leaves the choice to
/// the server; libp2p/specs, inlined-muxer-negotiation, gives it to the client.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned int in_size, void* argument) {
  const auto& ours = *static_cast<const std::vector<std::string>*>(argument);
  for (BytesView list(in, in_size); !list.empty();) {
    const std::size_t size = list.front();
    if (size >= list.size()) break;
    const auto name = list.subspan(1, size);
    if (std::ranges::find(ours, as_text(name)) != ours.end()) {
      *out = name.data();
      *out_size = static_cast<unsigned char>(size);
      return SSL_TLSEXT_ERR_OK;
    }
    list = list.subspan(1 + size);
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// What an alert of the peer means for us.
Errc errc_of_alert(int alert) {
  switch (alert) {
    case SSL_AD_CLOSE_NOTIFY:
    case SSL_AD_USER_CANCELLED:
    case SSL_AD_INTERNAL_ERROR: return Errc::closed;
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_CERTIFICATE_REQUIRED: return Errc::refused;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_NO_APPLICATION_PROTOCOL: return Errc::not_supported;
    default: return Errc::protocol_violation;
  }
}

Errc errc_of_reason(int reason) {
  switch (reason) {
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DIGEST_CHECK_FAILED: return Errc::bad_signature;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_APPLICATION_PROTOCOL: return Errc::not_supported;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE: return Errc::too_large;
    default: return Errc::protocol_violation;
  }
}

}  // namespace

/// What OpenSSL calls. Nothing here throws: there are frames of C below.
struct TlsCallbacks {
  static TlsSession& owner(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    auto& session = owner(bio);
    BIO_clear_retry_flags(bio);
    const auto count = std::min(static_cast<std::size_t>(size), session.in_.size());
    if (count == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::copy_n(session.in_.data(), count, reinterpret_cast<std::uint8_t*>(out));
    session.in_ = session.in_.subspan(count);
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* in, int size) {
    auto& session = owner(bio);
    BIO_clear_retry_flags(bio);
    const BytesView bytes(reinterpret_cast<const std::uint8_t*>(in), std::size_t(size));
    if (session.appended_ != nullptr) {
      session.appended_->insert(session.appended_->end(), bytes.begin(), bytes.end());
    } else {
      // Without room it is an alert while reading: the connection ends anyhow.
      if (bytes.size() > session.room_.size() - session.written_) return size;
      std::ranges::copy(bytes, session.room_.begin() + std::ptrdiff_t(session.written_));
      session.written_ += bytes.size();
    }
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pyrsia");
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return kMethod;
  }

  /// In place of OpenSSL's own verification of chains.
  static int verify(X509_STORE_CTX* store, void*) {
    auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto& session = *static_cast<TlsSession*>(SSL_get_app_data(ssl));
    const auto result = session_verify(session, X509_STORE_CTX_get0_untrusted(store));
    if (result) return 1;
    session.refused_ = result.error();
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);  // The alert bad_certificate.
    return 0;
  }

  static Result<> session_verify(TlsSession& session, const STACK_OF(X509) * chain) {
    std::vector<Bytes> all;
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      std::uint8_t* encoded = nullptr;
      const int size = i2d_X509(sk_X509_value(chain, i), &encoded);
      if (size <= 0) return Errc::malformed;
      all.emplace_back(encoded, encoded + size);
      OPENSSL_free(encoded);
    }
    const std::vector<BytesView> views(all.begin(), all.end());
    CertificateFault fault;
    auto key = session.context_.known_.verify(views, session.now_, fault);
    if (!key) {
      session.fault_ = fault;
      return key.error();
    }
    if (session.expected_ && key->peer_id() != *session.expected_) {
      session.fault_ = "another peer: " + key->peer_id().to_string();
      return Errc::wrong_peer;
    }
    session.peer_key_ = *std::move(key);
    return ok;
  }
};

Result<std::size_t> tls_record_size(BytesView bytes) {
  if (!bytes.empty() && (bytes[0] < kFirstContentType || bytes[0] > kLastContentType)) {
    return Errc::malformed;
  }
  if (bytes.size() < kTlsHeaderBytes) return std::size_t(0);
  const auto fragment = std::size_t(bytes[3] << 8 | bytes[4]);
  if (fragment > kMaxFragmentBytes) return Errc::malformed;
  return kTlsHeaderBytes + fragment;
}

TlsContext::TlsContext(std::vector<std::string> protocols)
    : context_(SSL_CTX_new(TLS_method())), protocols_(std::move(protocols)) {
  auto* context = context_;
  const auto list = alpn_list(protocols_);
  const bool is_ready = SSL_CTX_set_num_tickets(context, 0) == 1 &&
                        SSL_CTX_set_alpn_protos(context, list.data(), unsigned(list.size())) == 0;
  assert(is_ready);  // All of it is our own.
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET |
                                   SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, &protocols_);
}

TlsContext::TlsContext(const Certificate& certificate, std::vector<std::string> protocols)
    : TlsContext(std::move(protocols)) {
  const ErrorQueueGuard guard;
  auto* context = context_;
  const auto key = evp_from_private_info(certificate.key_pkcs8);
  const bool is_ready = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                        SSL_CTX_set_ciphersuites(context, kCiphers) == 1 &&
                        SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
                        SSL_CTX_set1_sigalgs_list(context, kSchemes) == 1 &&
                        SSL_CTX_use_certificate_ASN1(context, int(certificate.der.size()),
                                                     certificate.der.data()) == 1 &&
                        SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  assert(is_ready);  // All of it is our own.
  SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateListBytes);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, TlsCallbacks::verify, nullptr);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

TlsSession::TlsSession(const TlsContext& context, Role role, WallTime now,
                       std::optional<PeerId> expected)
    : context_(context),
      session_(SSL_new(context.context_)),
      now_(now),
      expected_(std::move(expected)) {
  begin(role);
}

TlsSession::TlsSession(const TlsContext& context, WallTime now, std::string_view server_name)
    : context_(context), session_(SSL_new(context.context_)), now_(now), server_name_(server_name) {
  begin(Role::initiator);
  auto* rules = SSL_get0_param(session_);
  X509_VERIFY_PARAM_set_time(rules, std::chrono::system_clock::to_time_t(now));
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool is_ready = false;
  if (IpAddress::parse(server_name_)) {
    is_ready = X509_VERIFY_PARAM_set1_ip_asc(rules, server_name_.c_str()) == 1;
  } else {
    is_ready = X509_VERIFY_PARAM_set1_host(rules, server_name.data(), server_name.size()) == 1 &&
               SSL_set_tlsext_host_name(session_, server_name_.c_str()) == 1;
  }
  // A name that is too long for TLS: no certificate can be for it.
  if (!is_ready) refused_ = Errc::invalid_argument;
}

TlsSession::TlsSession(const TlsContext& context)
    : context_(context), session_(SSL_new(context.context_)) {
  begin(Role::responder);
}

void TlsSession::begin(Role role) {
  BIO* bio = BIO_new(TlsCallbacks::method());
  assert(session_ != nullptr && bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(session_, bio, bio);
  SSL_set_app_data(session_, this);
  role == Role::initiator ? SSL_set_connect_state(session_) : SSL_set_accept_state(session_);
}

TlsSession::~TlsSession() {
  SSL_free(session_);
}

Result<bool> TlsSession::handshake(BytesView in, Bytes& out) {
  if (refused_) return refused_;
  const ErrorQueueGuard guard;
  in_ = in;
  appended_ = &out;
  const auto done = outcome(SSL_do_handshake(session_));
  appended_ = nullptr;
  in_ = {};
  if (!done) return done.error();
  return SSL_is_init_finished(session_) == 1;
}

Result<std::size_t> TlsSession::open(BytesView record, std::span<std::uint8_t> plain) {
  const ErrorQueueGuard guard;
  in_ = record;
  room_ = {};
  written_ = 0;
  std::size_t count = 0;
  const auto done = outcome(SSL_read_ex(session_, plain.data(), plain.size(), &count));
  in_ = {};
  if (!done) return done.error();
  return count;
}

Result<std::size_t> TlsSession::seal(BytesView plain, std::span<std::uint8_t> out) {
  const ErrorQueueGuard guard;
  room_ = out;
  written_ = 0;
  std::size_t count = 0;
  const auto done = outcome(SSL_write_ex(session_, plain.data(), plain.size(), &count));
  room_ = {};
  if (!done) return done.error();
  if (count != plain.size()) return Errc::protocol_violation;
  return std::exchange(written_, 0);
}

void TlsSession::end(Bytes& out) {
  const ErrorQueueGuard guard;
  appended_ = &out;
  SSL_shutdown(session_);
  appended_ = nullptr;
}

Result<> TlsSession::outcome(int returned) {
  if (returned > 0) return ok;
  switch (SSL_get_error(session_, returned)) {
    case SSL_ERROR_WANT_READ: return ok;
    case SSL_ERROR_ZERO_RETURN: return Errc::closed;
    case SSL_ERROR_SSL: return error_of(ERR_peek_error());
    default: return Errc::closed;
  }
}

Error TlsSession::error_of(unsigned long code) {
  if (refused_) return refused_;
  const int reason = ERR_GET_REASON(code);
  // The queue may begin with what was tried on the way to this.
  const auto verdict = server_name_.empty() ? X509_V_OK : SSL_get_verify_result(session_);
  if (verdict != X509_V_OK) {
    fault_ = "the certificate of " + server_name_ + ": " + X509_verify_cert_error_string(verdict);
    return Errc::bad_signature;
  }
  if (const char* text = ERR_reason_error_string(code)) fault_ = text;
  if (reason >= SSL_AD_REASON_OFFSET) return errc_of_alert(reason - SSL_AD_REASON_OFFSET);
  return errc_of_reason(reason);
}

std::string TlsSession::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(session_, &name, &size);
  return std::string(as_text(BytesView(name, size)));
}

}  // namespace pyrsia::crypto

#include "crypto/web_tls.hpp"

#include "crypto/error_queue.hpp"
#include "crypto/evp_key.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cassert>

namespace pyrsia::crypto {
namespace {

/// With forward secrecy and authentication of what was sent only; TLS 1.3 has no others.
constexpr const char* kWebCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
/// What a server may show. Our limit: chains of the web take 3 to 6 kB.
constexpr long kMaxWebChainBytes = 64L * 1024;
constexpr std::size_t kMaxChain = 16;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, Free>;
using X509Pointer = std::unique_ptr<X509, Free>;

Bio reader_of(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

/// There is nobody to ask.
int no_password(char*, int, int, void*) {
  return -1;
}

/// The text of a fault beside its code.
Errc refuse(std::string* detail, std::string_view text, Errc code) {
  if (detail) *detail = text;
  return code;
}

Result<std::vector<X509Pointer>> read_certificates(std::string_view pem, std::string* detail) {
  std::vector<X509Pointer> all;
  const auto bio = reader_of(pem);
  for (;;) {
    X509Pointer next(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
    if (!next) break;
    all.push_back(std::move(next));
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return refuse(detail, "has a certificate that cannot be read", Errc::malformed);
  ERR_clear_error();
  if (all.empty()) return refuse(detail, "has no certificate in PEM", Errc::malformed);
  return all;
}

Result<EvpKey> read_key(std::string_view pem, std::string* detail) {
  const auto bio = reader_of(pem);
  EvpKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (key) return key;
  const bool is_encrypted = pem.find("ENCRYPTED") != std::string_view::npos;
  return refuse(detail,
                is_encrypted ? "is encrypted, and nobody is there to be asked for the password"
                             : "has no private key in PEM that can be read",
                Errc::invalid_argument);
}

}  // namespace

/// Makes contexts; has their insides to itself.
struct WebContexts {
  static std::shared_ptr<TlsContext> make() {
    std::vector<std::string> protocols{"http/1.1"};
    std::shared_ptr<TlsContext> made(new TlsContext(std::move(protocols)));
    const bool is_ready = SSL_CTX_set_min_proto_version(made->context_, TLS1_2_VERSION) == 1 &&
                          SSL_CTX_set_cipher_list(made->context_, kWebCiphers) == 1;
    assert(is_ready);  // All of it is our own.
    return made;
  }

  static Result<std::shared_ptr<const TlsContext>> client(const WebTrust& trust,
                                                          std::string* detail) {
    const ErrorQueueGuard guard;
    auto made = make();
    auto* context = made->context_;
    // What the machine lacks is noticed when a server has been judged: it is not our fault.
    if (trust.uses_system_roots) SSL_CTX_set_default_verify_paths(context);
    if (!trust.extra_roots.empty()) {
      PYRSIA_TRY(const auto roots, read_certificates(trust.extra_roots, detail));
      for (const auto& each : roots)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), each.get());
    }
    SSL_CTX_set_max_cert_list(context, kMaxWebChainBytes);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    return std::shared_ptr<const TlsContext>(std::move(made));
  }

  static Result<std::shared_ptr<const TlsContext>> server(std::string_view chain,
                                                          std::string_view key,
                                                          std::string* detail) {
    const ErrorQueueGuard guard;
    auto made = make();
    auto* context = made->context_;
    PYRSIA_TRY(const auto certificates, read_certificates(chain, detail));
    if (certificates.size() > kMaxChain)
      return refuse(detail, "has more certificates than a chain may have", Errc::malformed);
    if (SSL_CTX_use_certificate(context, certificates.front().get()) != 1) {
      const char* const why = ERR_reason_error_string(ERR_peek_last_error());
      return refuse(detail,
                    std::string("has a certificate that cannot be used: ") + (why ? why : ""),
                    Errc::malformed);
    }
    for (std::size_t i = 1; i < certificates.size(); ++i)
      SSL_CTX_add1_chain_cert(context, certificates[i].get());
    PYRSIA_TRY(const auto secret, read_key(key, detail));
    if (X509_check_private_key(certificates.front().get(), secret.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context, secret.get()) != 1)
      return refuse(detail, "is not the key of the certificate", Errc::invalid_argument);
    return std::shared_ptr<const TlsContext>(std::move(made));
  }
};

Result<std::shared_ptr<const TlsContext>> make_web_client(const WebTrust& trust,
                                                          std::string* detail) {
  return WebContexts::client(trust, detail);
}

Result<std::shared_ptr<const TlsContext>> make_web_server(std::string_view chain,
                                                          std::string_view key,
                                                          std::string* detail) {
  return WebContexts::server(chain, key, detail);
}

}  // namespace pyrsia::crypto

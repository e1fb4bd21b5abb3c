/// For tests: an authority of the web, which signs what it is asked to.
#pragma once

#include <pyrsia/time.hpp>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <cstdlib>
#include <string>

namespace pyrsia::crypto {

/// What a web server has: PEM.
struct WebServerFiles {
  std::string chain;
  std::string key;
};

/// What is asked for: valid from a day before `now` until `days` after it.
struct WebOrder {
  std::string names;  ///< As OpenSSL writes them: "DNS:a.example,IP:1.2.3.4"
  WallTime now{};
  int days = 30;
  bool is_by_intermediate = false;  ///< Through one authority more, which is in the chain.
};

class TestWebAuthority {
 public:
  explicit TestWebAuthority(WallTime now, const char* name = "test root")
      : key_(EVP_EC_gen("P-256")) {
    const WebOrder order{"", now - std::chrono::hours(24 * 300), 3650};
    root_ = make(order, name, key_, nullptr, key_);
  }
  TestWebAuthority(const TestWebAuthority&) = delete;
  TestWebAuthority& operator=(const TestWebAuthority&) = delete;
  ~TestWebAuthority() {
    X509_free(root_);
    EVP_PKEY_free(key_);
  }

  std::string root() const { return pem_of(root_); }

  WebServerFiles issue(const WebOrder& order) const {
    EVP_PKEY* own = EVP_EC_gen("P-256");
    EVP_PKEY* middle_key = EVP_EC_gen("P-256");
    X509* middle = make({"", order.now, 365}, "test intermediate", middle_key, root_, key_);
    X509* leaf = order.is_by_intermediate ? make(order, "test server", own, middle, middle_key)
                                          : make(order, "test server", own, root_, key_);
    WebServerFiles files{pem_of(leaf), pem_of(own)};
    if (order.is_by_intermediate) files.chain += pem_of(middle);
    X509_free(leaf);
    X509_free(middle);
    EVP_PKEY_free(middle_key);
    EVP_PKEY_free(own);
    return files;
  }

 private:
  static void add(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) std::abort();
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  /// An order without names is for an authority; without `issuer` it signs itself.
  static X509* make(const WebOrder& order, const char* name, EVP_PKEY* key, X509* issuer,
                    EVP_PKEY* issuer_key) {
    X509* made = X509_new();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), std::rand());
    const auto now = std::chrono::system_clock::to_time_t(order.now);
    ASN1_TIME_set(X509_getm_notBefore(made), now - 86400);
    ASN1_TIME_set(X509_getm_notAfter(made), now + 86400L * order.days);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    if (issuer == nullptr) issuer = made;
    X509_set_issuer_name(made, X509_get_subject_name(issuer));
    X509_set_pubkey(made, key);
    const bool is_authority = order.names.empty();
    add(made, issuer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    add(made, issuer, NID_subject_key_identifier, "hash");
    add(made, issuer, NID_key_usage,
        is_authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (!is_authority) add(made, issuer, NID_subject_alt_name, order.names);
    if (X509_sign(made, issuer_key, EVP_sha256()) == 0) std::abort();
    return made;
  }

  static std::string text_of(BIO* bio) {
    char* at = nullptr;
    const long size = BIO_get_mem_data(bio, &at);
    std::string text(at, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  }
  static std::string pem_of(X509* certificate) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    return text_of(bio);
  }
  static std::string pem_of(EVP_PKEY* key) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio);
  }

  EVP_PKEY* key_;
  X509* root_;
};

}  // namespace pyrsia::crypto

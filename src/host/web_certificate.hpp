/// The files that secure WebSockets need: ours to show, and those of whom we trust.
#pragma once

#include "crypto/web_tls.hpp"
#include "runtime/env.hpp"

#include <pyrsia/config.hpp>
#include <pyrsia/log.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace pyrsia::host {

/// Null without a certificate in the configuration. Reads files: not for the thread of a host that
/// is running. Errors: `Errc::invalid_argument`; `detail`, if given, says what is wrong with which
/// field: "tls-key: /etc/key.pem: is not the key of the certificate".
Result<std::shared_ptr<const crypto::TlsContext>> read_web_certificate(const WebTlsConfig& config,
                                                                       std::string* detail);
/// The same of the roots to trust; they have been read as PEM once.
Result<crypto::WebTrust> read_web_trust(const WebTlsConfig& config, std::string* detail);

/// Hands a certificate on, at first and again whenever its files change. One that cannot be read is
/// told to the operator, and the one before it stays. Owned by the host.
class WebCertificate {
 public:
  using Take = std::function<void(std::shared_ptr<const crypto::TlsContext>)>;

  /// `env` must outlive it.
  WebCertificate(Env& env, WebTlsConfig config, Take take, Logger log)
      : env_(env), config_(std::move(config)), take_(std::move(take)), log_(log) {}

  bool is_configured() const { return config_.certificate.has_value(); }
  /// The first time. Errors: as read_web_certificate().
  Task<> load(std::string* detail);
  /// Then, as long as it may. Ends when cancelled only.
  Task<> watch();

 private:
  struct Times {
    std::filesystem::file_time_type certificate;
    std::filesystem::file_time_type key;
    bool operator==(const Times&) const = default;
  };

  static Times times_of(const WebTlsConfig& config);

  Env& env_;
  const WebTlsConfig config_;
  const Take take_;
  const Logger log_;
  Times seen_{};
};

}  // namespace pyrsia::host

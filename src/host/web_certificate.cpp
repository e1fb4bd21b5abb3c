#include "host/web_certificate.hpp"

#include "bootstrap/client/cache.hpp"

#include <system_error>

namespace pyrsia::host {
namespace {

/// How often the files are looked at.
constexpr Duration kLookInterval = std::chrono::seconds(10);

Error refuse(std::string* detail, std::string_view field, const std::filesystem::path& file,
             std::string_view why) {
  if (detail) {
    detail->assign(field);
    detail->append(": ").append(file.string()).append(": ").append(why);
  }
  return Errc::invalid_argument;
}

std::string_view fault_of_file(const Error& error) {
  if (error == Errc::not_found) return "does not exist";
  if (error == Errc::permission_denied) return "may not be read by this program";
  return error == Errc::too_large ? "is larger than 1 MiB" : "cannot be read";
}

Result<std::string> read_pem(std::string_view field, const std::filesystem::path& file,
                             std::string* detail) {
  auto text = bootstrap::load_file(file);
  if (!text) return refuse(detail, field, file, fault_of_file(text.error()));
  if (text->empty()) return refuse(detail, field, file, "is empty");
  return text;
}

}  // namespace

Result<std::shared_ptr<const crypto::TlsContext>> read_web_certificate(const WebTlsConfig& config,
                                                                       std::string* detail) {
  if (!config.certificate && !config.key) return std::shared_ptr<const crypto::TlsContext>();
  if (!config.certificate) return refuse(detail, "tls-key", *config.key, "needs tls-cert too");
  if (!config.key) return refuse(detail, "tls-cert", *config.certificate, "needs tls-key too");
  PYRSIA_TRY(const auto chain, read_pem("tls-cert", *config.certificate, detail));
  PYRSIA_TRY(const auto key, read_pem("tls-key", *config.key, detail));
  std::string why;
  auto made = crypto::make_web_server(chain, key, &why);
  if (made) return made;
  const bool is_of_key = made.error() == Errc::invalid_argument;
  return refuse(detail, is_of_key ? "tls-key" : "tls-cert",
                is_of_key ? *config.key : *config.certificate, why);
}

Result<crypto::WebTrust> read_web_trust(const WebTlsConfig& config, std::string* detail) {
  crypto::WebTrust trust;
  if (!config.extra_roots) return trust;
  PYRSIA_TRY(trust.extra_roots, read_pem("tls-ca", *config.extra_roots, detail));
  std::string why;
  if (!crypto::make_web_client(trust, &why))
    return refuse(detail, "tls-ca", *config.extra_roots, why);
  return trust;
}

WebCertificate::Times WebCertificate::times_of(const WebTlsConfig& config) {
  std::error_code gone;  // Then its time is that of no file.
  return {std::filesystem::last_write_time(*config.certificate, gone),
          std::filesystem::last_write_time(*config.key, gone)};
}

Task<> WebCertificate::load(std::string* detail) {
  if (!is_configured()) co_return ok;
  Result<std::shared_ptr<const crypto::TlsContext>> read = Errc::cancelled;
  Times times;
  std::string why;
  std::function<void()> work = [&] {
    times = times_of(config_);
    read = read_web_certificate(config_, &why);
  };
  PYRSIA_CO_TRY(co_await env_.run_blocking(std::move(work)));
  seen_ = times;
  if (!read && detail) *detail = why;
  if (!read) co_return read.error();
  take_(*read);
  co_return ok;
}

Task<> WebCertificate::watch() {
  for (;;) {
    PYRSIA_CO_TRY(co_await env_.sleep_for(kLookInterval));
    Times now;
    std::function<void()> work = [&] { now = times_of(config_); };
    PYRSIA_CO_TRY(co_await env_.run_blocking(std::move(work)));
    if (now == seen_) continue;
    std::string why;
    const auto loaded = co_await load(&why);
    if (!loaded && loaded.error() == Errc::cancelled) co_return loaded.error();
    // Written one after the other, the two files may not fit for a while: they are read again once
    // the second has changed.
    if (loaded) log_.info("the certificate of secure WebSockets has been read again", {});
    if (!loaded)
      log_.warning("the certificate of secure WebSockets stays as it was", {{"why", why}});
  }
}

}  // namespace pyrsia::host

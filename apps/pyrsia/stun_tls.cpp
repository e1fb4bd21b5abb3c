#include "stun_tls.hpp"

namespace pyrsia::app {

StunTls::StunTls(Env& env, WebTlsConfig config, Logger log)
    : config_(config),
      tls_(env),
      certificate_(
          env, std::move(config),
          [this](std::shared_ptr<const crypto::TlsContext> context) {
            tls_.set_certificate(std::move(context));
          },
          log) {}

Task<> StunTls::load(std::string* detail) {
  if (has_certificate()) PYRSIA_CO_TRY(co_await certificate_.load(detail));
  co_return ok;
}

Task<> StunTls::watch() {
  if (!has_certificate()) co_return ok;
  co_return co_await certificate_.watch();
}

stun::Secure StunTls::as_server() {
  return [this](std::unique_ptr<Stream> stream) { return tls_.accept(std::move(stream), nullptr); };
}

Result<> StunTls::read_trust(std::string* detail) {
  PYRSIA_TRY(const auto trust, host::read_web_trust(config_, detail));
  return tls_.set_trust(trust, detail);
}

stun::Secure StunTls::as_client(const std::string& name) {
  return [this, name](std::unique_ptr<Stream> stream) {
    return tls_.connect(std::move(stream), name, nullptr);
  };
}

}  // namespace pyrsia::app

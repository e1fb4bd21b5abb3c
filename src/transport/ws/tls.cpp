#include "transport/ws/tls.hpp"

#include "secure/tls/handshake.hpp"
#include "secure/tls/stream.hpp"

namespace pyrsia::transport::ws {
namespace {

/// `context` is kept until the handshake is over; what follows needs it no longer.
Task<std::unique_ptr<Stream>> finish_handshake(
    [[maybe_unused]] std::shared_ptr<const crypto::TlsContext> context,
    std::unique_ptr<Stream> stream, std::unique_ptr<crypto::TlsSession> session,
    std::string* detail) {
  const auto shaken = co_await secure::tls::shake_hands(*stream, *session);
  if (!shaken && detail && !session->fault().empty()) *detail = "web TLS: " + session->fault();
  if (!shaken) co_return shaken.error();
  std::unique_ptr<Stream> secured =
      std::make_unique<secure::tls::TlsStream>(std::move(stream), std::move(session));
  co_return secured;
}

}  // namespace

Result<> WebTls::set_trust(const crypto::WebTrust& trust, std::string* detail) {
  PYRSIA_TRY(client_, crypto::make_web_client(trust, detail));
  return ok;
}

Task<std::unique_ptr<Stream>> WebTls::connect(std::unique_ptr<Stream> stream,
                                              std::string server_name, std::string* detail) {
  if (!client_) PYRSIA_CO_TRY(set_trust(crypto::WebTrust(), detail));
  auto session = std::make_unique<crypto::TlsSession>(*client_, env_.wall_now(), server_name);
  co_return co_await finish_handshake(client_, std::move(stream), std::move(session), detail);
}

Task<std::unique_ptr<Stream>> WebTls::accept(std::unique_ptr<Stream> stream, std::string* detail) {
  auto session = std::make_unique<crypto::TlsSession>(*certificate_);
  co_return co_await finish_handshake(certificate_, std::move(stream), std::move(session), detail);
}

}  // namespace pyrsia::transport::ws

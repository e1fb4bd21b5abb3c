#include "nat/stun/stream_client.hpp"

#include "runtime/timeout.hpp"

#include <array>

namespace pyrsia::stun {
namespace {

Task<Response> connect_and_ask(Env& env, Endpoint server, Secure secure) {
  const auto begin = env.now();
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(std::unique_ptr<Stream> stream, co_await env.tcp_connect(server, options));
  if (secure) {
    auto securing = secure(std::move(stream));
    PYRSIA_CO_TRY(stream, co_await std::move(securing));
  }
  PYRSIA_CO_TRY(auto response, co_await ask_stream(*stream, server, random_transaction(env)));
  response.round_trip = env.now() - begin;
  response.transmissions = 1;
  static_cast<void>(co_await stream->close_write());
  co_return response;
}

}  // namespace

Task<Response> ask_stream(Stream& stream, Endpoint server, TransactionId transaction) {
  std::array<std::uint8_t, 64> request{};
  Query query;
  query.has_fingerprint = false;
  PYRSIA_CO_TRY(const auto asked, encode_query(query, transaction, request));
  PYRSIA_CO_TRY(co_await stream.write_all(asked));
  std::array<std::uint8_t, kMaxMessageBytes> answer{};
  const auto header = std::span(answer).first<kHeaderBytes>();
  PYRSIA_CO_TRY(co_await read_exactly(stream, header));
  PYRSIA_CO_TRY(const auto size, message_size(header));
  const auto body = std::span(answer).subspan(kHeaderBytes, size - kHeaderBytes);
  PYRSIA_CO_TRY(co_await read_exactly(stream, body));
  PYRSIA_CO_TRY(const auto message, Message::parse(BytesView(answer).first(size)));
  const auto& received = message.header();
  if (!is_response(received) || received.transaction != transaction)
    co_return Errc::protocol_violation;
  PYRSIA_CO_TRY(auto response, decode_response(message, server.ip));
  response.from = server;
  co_return response;
}

Task<Response> ask_over_tcp(Env& env, Endpoint server, Secure secure, Duration limit) {
  auto asking = connect_and_ask(env, server, std::move(secure));
  co_return co_await with_timeout(env, limit, std::move(asking));
}

Task<Response> ask_over_tcp(Env& env, Endpoint server, Secure secure) {
  return ask_over_tcp(env, server, std::move(secure), kTi);
}

}  // namespace pyrsia::stun

#include "nat/stun/ask_once.hpp"

#include "nat/stun/moves.hpp"
#include "runtime/timeout.hpp"

#include <array>

namespace pyrsia::stun {
namespace {

/// Whatever else arrives is passed over. Errors: of UdpSocket::receive().
Task<Response> receive_answer(UdpSocket& socket, Endpoint server, TransactionId transaction) {
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (;;) {
    const auto datagram = co_await socket.receive(buffer);
    // An ICMP error of an earlier transmission: the next one may get through.
    if (!datagram && (datagram.error() == Errc::unreachable || datagram.error() == Errc::refused))
      continue;
    if (!datagram) co_return datagram.error();
    if (datagram->from != server || datagram->size > buffer.size()) continue;
    const auto message = Message::parse(BytesView(buffer).first(datagram->size));
    if (!message || message->header().is_legacy()) continue;
    if (message->header().transaction != transaction || !is_response(message->header())) continue;
    auto response = decode_response(*message, server.ip);
    if (!response) continue;
    response->from = datagram->from;
    co_return response;
  }
}

Task<Response> ask(Env& env, UdpSocket& socket, const Query& query) {
  const auto transaction = random_transaction(env);
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  PYRSIA_CO_TRY(const auto request, encode_query(query, transaction, buffer));
  Retransmission retransmission(query.plan, env.now());
  auto sent_at = env.now();
  while (!retransmission.is_over(env.now())) {
    if (retransmission.is_due(env.now())) {
      sent_at = env.now();
      const auto sent = socket.send(query.server, request);
      if (!sent && retransmission.sent_count() == 1) co_return sent.error();
    }
    const auto left = retransmission.next() - env.now();
    if (left <= Duration(0)) continue;
    auto receiving = receive_answer(socket, query.server, transaction);
    auto response = co_await with_timeout(env, left, std::move(receiving));
    if (!response && response.error() == Errc::timed_out) continue;
    if (!response) co_return response.error();
    response->round_trip = env.now() - sent_at;
    response->transmissions = retransmission.sent_count();
    co_return response;
  }
  co_return Errc::timed_out;
}

}  // namespace

Task<Response> ask_once(Env& env, Query query) {
  const auto any = query.server.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
  const Endpoint local{any, 0};
  PYRSIA_CO_TRY(auto socket, env.udp_bind(local));
  Moves moves(query.server);
  for (;;) {
    auto response = co_await ask(env, *socket, query);
    if (!response || !response->error) co_return response;
    PYRSIA_CO_TRY(query.server, moves.next(*response));
  }
}

}  // namespace pyrsia::stun

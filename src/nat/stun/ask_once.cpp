#include "nat/stun/ask_once.hpp"

#include "nat/stun/moves.hpp"
#include "runtime/timeout.hpp"

#include <array>

namespace pyrsia::stun {
namespace {

/// One question as it is put and answered.
struct Asking {
  Query query;
  LongTerm proof;
  TransactionId transaction{};
  bool is_asked_again = false;  ///< The answer demands a proof, and we have one.
  bool was_forged = false;      ///< Something came that is not by who knows the password.
};

/// Whatever else arrives is passed over. Errors: of UdpSocket::receive().
Task<Response> receive_answer(UdpSocket& socket, Asking& asking) {
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (;;) {
    const auto datagram = co_await socket.receive(buffer);
    // An ICMP error of an earlier transmission: the next one may get through.
    if (!datagram && (datagram.error() == Errc::unreachable || datagram.error() == Errc::refused))
      continue;
    if (!datagram) co_return datagram.error();
    if (datagram->from != asking.query.server || datagram->size > buffer.size()) continue;
    const auto message = Message::parse(BytesView(buffer).first(datagram->size));
    if (!message || message->header().is_legacy() || !is_response(message->header())) continue;
    if (message->header().transaction != asking.transaction) continue;
    auto response = decode_response(*message, datagram->from.ip);
    if (!response) continue;
    const auto verdict = asking.proof.take(*message);
    asking.is_asked_again = verdict == LongTerm::Verdict::ask_again;
    if (verdict == LongTerm::Verdict::discard) {
      asking.was_forged = true;
      continue;
    }
    response->from = datagram->from;
    co_return response;
  }
}

/// One transaction.
Task<Response> ask(Env& env, UdpSocket& socket, Asking& asking) {
  asking.transaction = random_transaction(env);
  asking.is_asked_again = asking.was_forged = false;
  const auto& query = asking.query;
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  PYRSIA_CO_TRY(const auto request, encode_query(query, asking.transaction, asking.proof, buffer));
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
    auto receiving = receive_answer(socket, asking);
    auto response = co_await with_timeout(env, left, std::move(receiving));
    if (!response && response.error() == Errc::timed_out) continue;
    if (!response) co_return response.error();
    response->round_trip = env.now() - sent_at;
    response->transmissions = retransmission.sent_count();
    co_return response;
  }
  co_return asking.was_forged ? Errc::bad_signature : Errc::timed_out;
}

Task<Response> ask_and_follow(Env& env, Query query, std::optional<Credentials> credentials) {
  const auto any = query.server.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
  const Endpoint local{any, 0};
  PYRSIA_CO_TRY(auto socket, env.udp_bind(local));
  Moves moves(query.server);
  Asking asking{query, LongTerm(credentials)};
  for (;;) {
    auto response = co_await ask(env, *socket, asking);
    if (!response || !response->error) co_return response;
    if (asking.is_asked_again) continue;
    PYRSIA_CO_TRY(asking.query.server, moves.next(*response));
    asking.proof = LongTerm(credentials);
  }
}

}  // namespace

Task<Response> ask_once(Env& env, Query query) {
  return ask_and_follow(env, std::move(query), std::nullopt);
}

Task<Response> ask_once(Env& env, Query query, Credentials credentials) {
  return ask_and_follow(env, std::move(query), std::move(credentials));
}

}  // namespace pyrsia::stun

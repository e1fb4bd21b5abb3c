// STUN and QUIC at one UDP port of the kernel, each under the other's load.
#include "nat/stun/ask_once.hpp"
#include "runtime/real_env.hpp"
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"

#include <pyrsia/host.hpp>

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBytes = 8 << 20;
constexpr int kQuestions = 40;
constexpr auto kProtocol = "/sink/1.0.0";

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Config loopback_config() {
  Config config;
  config.scope = AddressScope::loopback;
  config.listen = {*Multiaddr::parse("/ip4/127.0.0.1/udp/0/quic-v1")};
  config.is_listen_only = true;
  config.stun.is_server = true;
  config.stun.per_source_per_second = 0;
  return config;
}

/// Reads all there is, then says how much it was.
Task<> swallow(PeerId /*peer*/, std::unique_ptr<Stream> stream) {
  std::array<std::uint8_t, 16384> buffer{};
  std::uint64_t count = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto size, co_await stream->read_some(buffer));
    count += size;
    if (size == 0) break;
  }
  std::array<std::uint8_t, 8> answer{};
  for (auto& byte : answer) {
    byte = static_cast<std::uint8_t>(count);
    count >>= 8;
  }
  PYRSIA_CO_TRY(co_await stream->write_all(answer));
  co_return co_await stream->close_write();
}

/// Errors: those of the stream; `Errc::protocol_violation`: not all has arrived.
Task<> pour(Host& from, PeerId to) {
  PYRSIA_CO_TRY(auto stream, co_await from.open_stream(std::move(to), kProtocol));
  const Bytes piece(1 << 16, 0x5a);
  for (std::uint64_t sent = 0; sent < kBytes; sent += piece.size())
    PYRSIA_CO_TRY(co_await stream->write_all(piece));
  PYRSIA_CO_TRY(co_await stream->close_write());
  std::array<std::uint8_t, 8> answer{};
  PYRSIA_CO_TRY(co_await read_exactly(*stream, answer));
  std::uint64_t count = 0;
  for (std::size_t i = answer.size(); i-- > 0;) count = count << 8 | answer[i];
  co_return count == kBytes ? Result<>(ok) : Result<>(Errc::protocol_violation);
}

/// How many of so many questions, one after the other, were answered.
Task<> question(Env& env, Endpoint server, int& answered) {
  for (int i = 0; i < kQuestions; ++i) {
    stun::Query query;
    query.server = server;
    PYRSIA_CO_TRY(const auto answer, co_await stun::ask_once(env, query));
    if (answer.mapped.ip == server.ip) ++answered;
  }
  co_return ok;
}

/// Sends requests without end, and reads no answer.
Task<> flood(Env& env, Endpoint server) {
  const Endpoint any{IpAddress::v4_loopback(), 0};
  PYRSIA_CO_TRY(const auto socket, env.udp_bind(any));
  std::array<std::uint8_t, 64> buffer{};
  stun::Query query;
  const auto transaction = stun::random_transaction(env);
  PYRSIA_CO_TRY(const auto request, stun::encode_query(query, transaction, buffer));
  std::vector<OutgoingDatagram> burst(32);
  for (auto& datagram : burst) {
    datagram.to = server;
    datagram.bytes = request;
  }
  for (;;) {
    (void)socket->send_batch(burst);
    PYRSIA_CO_TRY(co_await env.sleep_for(1ms));
  }
}

struct Two {
  explicit Two(Env& e) : env(e) {}

  Task<> begin() {
    server->on(kProtocol, swallow);
    PYRSIA_CO_TRY(co_await server->start(nullptr));
    PYRSIA_CO_TRY(co_await client->start(nullptr));
    const auto address = server->listen_addresses().front();
    endpoint = *address.endpoint();
    const std::vector<Multiaddr> addresses{address};
    co_return co_await client->connect(server->peer_id(), addresses);
  }
  Task<> end() {
    (void)co_await client->stop();
    co_return co_await server->stop();
  }

  Env& env;
  std::unique_ptr<Host> server = *Host::make(env, key_of(1), loopback_config());
  std::unique_ptr<Host> client = *Host::make(env, key_of(2), loopback_config());
  Endpoint endpoint;
};

Task<> stun_while_quic_pours(Two& two, int& answered) {
  PYRSIA_CO_TRY(co_await two.begin());
  TaskGroup asking(two.env);
  asking.spawn(question(two.env, two.endpoint, answered));
  const auto poured = co_await pour(*two.client, two.server->peer_id());
  PYRSIA_CO_TRY(co_await asking.join());
  PYRSIA_CO_TRY(co_await two.end());
  co_return poured;
}

Task<> quic_while_stun_floods(Two& two) {
  PYRSIA_CO_TRY(co_await two.begin());
  TaskGroup flooding(two.env);
  flooding.spawn(flood(two.env, two.endpoint));
  const auto poured = co_await pour(*two.client, two.server->peer_id());
  flooding.cancel();
  PYRSIA_CO_TRY(co_await flooding.join());
  PYRSIA_CO_TRY(co_await two.end());
  co_return poured;
}

TEST(SharedPortsReal, EveryQuestionIsAnsweredWhileQuicPours) {
  const auto env = make_real_env(RealEnvConfig());
  Two two(*env);
  int answered = 0;
  auto work = stun_while_quic_pours(two, answered);
  const auto ended = run(*env, with_timeout(*env, Duration(120s), std::move(work)), nullptr);
  EXPECT_TRUE(ended) << ended.error();
  EXPECT_EQ(answered, kQuestions);
  EXPECT_EQ(two.server->counters().at("pyrsia_quic_unknown_datagrams_total"), 0U);
}

TEST(SharedPortsReal, QuicCarriesAllWhileStunFloods) {
  const auto env = make_real_env(RealEnvConfig());
  Two two(*env);
  auto work = quic_while_stun_floods(two);
  const auto ended = run(*env, with_timeout(*env, Duration(120s), std::move(work)), nullptr);
  EXPECT_TRUE(ended) << ended.error();
  EXPECT_GT(two.server->counters().at("pyrsia_stun_answered_total"), 100U);
}

}  // namespace
}  // namespace pyrsia

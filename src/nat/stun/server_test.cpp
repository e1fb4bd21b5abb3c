#include "nat/stun/server.hpp"

#include "nat/stun/stream_client.hpp"
#include "sim/bare_env.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const LogSink kSilence;

/// A machine whose kernel knows no IPv6.
class WithoutV6 : public sim::BareEnv {
 public:
  WithoutV6(sim::World& world, Env& rest) : sim::BareEnv(world), rest_(rest) {}
  using Env::udp_bind;
  Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local,
                                              const UdpOptions& options) override {
    if (local.ip.is_v6()) return Errc::unreachable;
    return rest_.udp_bind(local, options);
  }
  Result<std::unique_ptr<TcpListener>> tcp_listen(const Endpoint& local,
                                                  const TcpListenOptions& options) override {
    if (local.ip.is_v6()) return Errc::unreachable;
    return rest_.tcp_listen(local, options);
  }

 private:
  Env& rest_;
};

/// One server on host b, asked from host a, 50 ms away.
struct Served : sim::TwoHosts {
  ServerConfig config;
  std::unique_ptr<Server> server;

  Served() { config.udp = {at("5.6.7.8", 3478)}; }
  ~Served() {
    if (server) (void)world.run(server->stop());
  }
  void serve() {
    server = std::make_unique<Server>(b, config, Logger("stun", kSilence));
    std::string detail;
    ASSERT_TRUE(server->start(&detail)) << detail;
  }
  Result<Response> ask(Query query) {
    query.server = query.server.port == 0 ? at("5.6.7.8", 3478) : query.server;
    return std::get<0>(world.run(ask_once(a, query)));
  }
  static Task<Response> ask_once(Env& env, Query query) {
    const Endpoint any{IpAddress::v4_any(), 0};
    PYRSIA_CO_TRY(auto client, Client::bind(env, any));
    const auto response = co_await client->ask(query);
    (void)co_await client->stop();
    co_return response;
  }
};

TEST(StunServer, TellsAClientWhereItIsSeen) {
  Served served;
  served.serve();
  const auto response = served.ask({}).value();
  EXPECT_EQ(response.mapped.ip, at("1.2.3.4", 0).ip);
  EXPECT_EQ(response.from, at("5.6.7.8", 3478));
  EXPECT_EQ(response.round_trip, 100ms);
  EXPECT_EQ(response.transmissions, 1);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_answered_total"), 1U);
}

TEST(StunServer, ASilentServerCostsTheScheduleAndNoMore) {
  Served served;
  const auto start = served.world.now();
  EXPECT_EQ(served.ask({}).error(), Errc::timed_out);
  EXPECT_EQ(served.world.now() - start, 39500ms);
}

TEST(StunServer, LossIsCuredByRetransmission) {
  Served served;
  served.serve();
  served.net.partition({&served.a}, {&served.b});
  struct Heal {
    static Task<> later(sim::TwoHosts& hosts) {
      PYRSIA_CO_TRY(co_await hosts.a.sleep_for(2s));
      hosts.net.heal();
      co_return ok;
    }
  };
  Query query;
  query.server = at("5.6.7.8", 3478);
  const auto [response, healed] =
      served.world.run(Served::ask_once(served.a, query), Heal::later(served));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->transmissions, 4);
}

TEST(StunServer, AnswersOnItsOtherPort) {
  Served served;
  served.config.udp.push_back(at("5.6.7.8", 3479));
  served.serve();
  Query query;
  query.change.port = true;
  EXPECT_EQ(served.ask(query)->from, at("5.6.7.8", 3479));
  query.change.ip = true;
  EXPECT_EQ(served.ask(query)->error, 420);
}

TEST(StunServer, WhereThereIsNoIpv6ItServesIpv4) {
  Served served;
  WithoutV6 env(served.world, served.b);
  served.config.udp = served.config.tcp = {at("0.0.0.0", 3478), at("::", 3478)};
  served.server = std::make_unique<Server>(env, served.config, Logger("stun", kSilence));
  std::string detail;
  EXPECT_FALSE(served.server->start(&detail));
  EXPECT_EQ(detail, "UDP [::]:3478");
  served.config.is_v6_optional = true;
  served.server = std::make_unique<Server>(env, served.config, Logger("stun", kSilence));
  ASSERT_TRUE(served.server->start(nullptr));
  EXPECT_EQ(served.server->tcp_endpoints().size(), 1U);
  EXPECT_TRUE(served.ask({}));
  (void)served.world.run(served.server->stop());
  served.server.reset();
}

TEST(StunServer, APortInUseIsNamed) {
  Served served;
  served.serve();
  Server second(served.b, served.config, Logger("stun", kSilence));
  std::string detail;
  EXPECT_EQ(second.start(&detail).error(), Errc::address_in_use);
  EXPECT_EQ(detail, "UDP 5.6.7.8:3478");
}

Task<Response> ask_again(Env& env, Endpoint server, int times) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, server));
  Result<Response> response = Errc::not_found;
  for (int i = 0; i < times; ++i) {
    response = co_await ask_stream(*socket, server, random_transaction(env));
    if (!response) break;
  }
  co_return response;
}

/// Stands for TLS: each side sends a word, and waits for the other's.
Task<std::unique_ptr<Stream>> shake_hands(std::unique_ptr<Stream> stream) {
  const Bytes word{'t', 'l', 's'};
  PYRSIA_CO_TRY(co_await stream->write_all(word));
  Bytes read(word.size());
  PYRSIA_CO_TRY(co_await read_exactly(*stream, read));
  if (read != word) co_return Errc::protocol_violation;
  co_return stream;
}

TEST(StunServer, AnswersInsideOfTls) {
  Served served;
  served.config.tls = {at("5.6.7.8", kTlsPort)};
  served.config.secure = shake_hands;
  served.serve();
  EXPECT_EQ(served.server->tls_endpoints().size(), 1U);
  EXPECT_TRUE(served.server->tcp_endpoints().empty());
  auto [inside] = served.world.run(ask_over_tcp(served.a, at("5.6.7.8", kTlsPort), shake_hands));
  ASSERT_TRUE(inside) << inside.error();
  EXPECT_EQ(inside->mapped.ip, at("1.2.3.4", 0).ip);
  auto [plain] = served.world.run(ask_over_tcp(served.a, at("5.6.7.8", kTlsPort), {}));
  EXPECT_FALSE(plain);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_handshakes_failed_total"), 1U);
}

TEST(StunServer, AHandshakeThatNeverComesEndsByItsTimeout) {
  Served served;
  served.config.tls = {at("5.6.7.8", kTlsPort)};
  served.config.secure = shake_hands;
  served.config.max_tcp_connections_of_source = 1;
  served.serve();
  auto [silent] = served.world.run(sim::dial(served.a, at("5.6.7.8", kTlsPort)));
  ASSERT_TRUE(silent);
  served.world.run_for(11s);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_handshakes_failed_total"), 1U);
  auto [next] = served.world.run(ask_over_tcp(served.a, at("5.6.7.8", kTlsPort), shake_hands));
  EXPECT_TRUE(next) << next.error();  // The place of the silent one is free.
}

TEST(StunServer, AnswersOverTcpAgainAndAgain) {
  Served served;
  served.config.tcp = {at("5.6.7.8", 3478)};
  served.config.max_tcp_requests = 3;
  served.serve();
  const auto [three] = served.world.run(ask_again(served.a, at("5.6.7.8", 3478), 3));
  EXPECT_EQ(three->mapped.ip, at("1.2.3.4", 0).ip);
  const auto [four] = served.world.run(ask_again(served.a, at("5.6.7.8", 3478), 4));
  EXPECT_FALSE(four);
}

Task<Response> send_query(Env& env, Endpoint server, Query query) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, server));
  std::array<std::uint8_t, 64> out{};
  PYRSIA_CO_TRY(const auto request, encode_query(query, random_transaction(env), out));
  PYRSIA_CO_TRY(co_await socket->write_all(request));
  std::array<std::uint8_t, 512> in{};
  PYRSIA_CO_TRY(const auto size, co_await socket->read_some(in));
  PYRSIA_CO_TRY(const auto message, Message::parse(BytesView(in).first(size)));
  co_return decode_response(message, server.ip);
}

Task<> send_garbage(Env& env, Endpoint server) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, server));
  PYRSIA_CO_TRY(co_await socket->write_all(as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  std::array<std::uint8_t, 64> answer{};
  PYRSIA_CO_TRY(const auto size, co_await socket->read_some(answer));
  if (size == 0) co_return Errc::closed;
  co_return ok;
}

TEST(StunServer, DropsATcpConnectionThatSpeaksSomethingElse) {
  Served served;
  served.config.tcp = {at("5.6.7.8", 3478)};
  served.serve();
  const auto [sent] = served.world.run(send_garbage(served.a, at("5.6.7.8", 3478)));
  EXPECT_FALSE(sent);
}

TEST(StunServer, OneSourceHasFewTcpConnections) {
  Served served;
  served.config.tcp = {at("5.6.7.8", 3478)};
  served.config.max_tcp_connections_of_source = 2;
  served.serve();
  struct Many {
    static Task<> connect(Env& env, std::vector<std::unique_ptr<TcpSocket>>& sockets) {
      for (int i = 0; i < 5; ++i) {
        PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, at("5.6.7.8", 3478)));
        sockets.push_back(std::move(socket));
      }
      co_return co_await env.sleep_for(1s);
    }
  };
  std::vector<std::unique_ptr<TcpSocket>> sockets;
  EXPECT_TRUE(std::get<0>(served.world.run(Many::connect(served.a, sockets))));
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_connections_refused_total"), 3U);
  served.world.run_for(served.config.tcp_idle_timeout);
}

TEST(StunServer, TellsItsOtherAddressOverTcpTooButAnswersFromThatOfTheConnection) {
  Served served;
  served.config.tcp = {at("5.6.9.8", 3478), at("5.6.9.8", 3479), at("5.6.9.9", 3478),
                       at("5.6.9.9", 3479)};
  auto& far = served.net.add_host({"far", {"5.6.9.8", "5.6.9.9"}});
  served.config.udp.clear();
  served.server = std::make_unique<Server>(far, served.config, Logger("stun", kSilence));
  ASSERT_TRUE(served.server->start(nullptr));
  auto [told] = served.world.run(ask_over_tcp(served.a, at("5.6.9.8", 3479), {}));
  ASSERT_TRUE(told) << told.error();
  EXPECT_EQ(told->other, at("5.6.9.9", 3478));
  EXPECT_EQ(told->origin, at("5.6.9.8", 3479));
  Query query;
  query.change.port = true;
  const auto [refused] = served.world.run(send_query(served.a, at("5.6.9.8", 3478), query));
  EXPECT_EQ(refused->error, 420);
}

TEST(StunServer, AnIpv6NetworkIsOneSourceOfTcpConnections) {
  Served served;
  served.config.udp.clear();
  served.config.tcp = {at("2a0e:2::1", 3478)};
  served.config.max_tcp_connections_of_source = 2;
  auto& far = served.net.add_host({"far", {"2a0e:2::1"}});
  served.server = std::make_unique<Server>(far, served.config, Logger("stun", kSilence));
  ASSERT_TRUE(served.server->start(nullptr));
  std::vector<std::unique_ptr<TcpSocket>> sockets;
  for (const auto* ip : {"2a0e:1::1", "2a0e:1:0:99::1", "2a0e:1:0:7::2"}) {
    auto& host = served.net.add_host({ip, {ip}});
    auto [socket] = served.world.run(sim::dial(host, at("2a0e:2::1", 3478)));
    if (socket) sockets.push_back(*std::move(socket));
  }
  served.world.run_for(1s);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_connections_total"), 2U);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_connections_refused_total"), 1U);
}

TEST(StunServer, ASourceBeginsFewTlsHandshakesASecond) {
  Served served;
  served.config.tls = {at("5.6.7.8", kTlsPort)};
  served.config.secure = shake_hands;
  served.config.handshakes = {1, 2, 16};
  served.serve();
  const auto ask = [&] {
    return std::get<0>(
        served.world.run(ask_over_tcp(served.a, at("5.6.7.8", kTlsPort), shake_hands)));
  };
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_handshakes_refused_total"), 1U);
  served.world.run_for(1s);
  EXPECT_TRUE(ask());
}

/// Asks every second until the server has enough of it.
Task<int> ask_on_and_on(Env& env, Endpoint server) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, server));
  int count = 0;
  for (; count < 1000; ++count) {
    const auto response = co_await ask_stream(*socket, server, random_transaction(env));
    if (!response) break;
    PYRSIA_CO_TRY(co_await env.sleep_for(1s));
  }
  co_return count;
}

TEST(StunServer, ABusyConnectionEndsWithItsLifetime) {
  Served served;
  served.config.tcp = {at("5.6.7.8", 3478)};
  served.config.tcp_lifetime = 20s;
  served.serve();
  const auto [count] = served.world.run(ask_on_and_on(served.a, at("5.6.7.8", 3478)));
  ASSERT_TRUE(count);
  EXPECT_GE(*count, 15);
  EXPECT_LE(*count, 20);
}

TEST(StunServer, EveryBrokenOperationIsSurvived) {
  std::uint64_t operation = 0;
  for (;; ++operation) {
    ASSERT_LT(operation, 200U);
    Served served;
    served.config.tcp = {at("5.6.7.8", 3478)};
    const auto before = served.net.operation_count();
    served.net.fail_operation(before + operation);
    served.server = std::make_unique<Server>(served.b, served.config, Logger("stun", kSilence));
    if (!served.server->start(nullptr)) continue;
    Query query;
    query.server = at("5.6.7.8", 3478);
    (void)served.world.run(Served::ask_once(served.a, query),
                           ask_again(served.a, at("5.6.7.8", 3478), 1));
    const bool is_over = served.net.operation_count() <= before + operation;
    // Whatever broke, the next one is served.
    served.net.fail_operation(UINT64_MAX);
    EXPECT_TRUE(served.ask({})) << operation;
    if (is_over) break;
  }
  EXPECT_GT(operation, 5U);
}

}  // namespace
}  // namespace pyrsia::stun

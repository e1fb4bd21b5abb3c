/// Secure WebSockets: web TLS, a WebSocket in it, and in that all the rest.
#include "crypto/test_web_authority.hpp"
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"
#include "transport/tcp/transport.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::tcp {
namespace {

using namespace std::chrono_literals;

KeyPair key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

struct Dialed {
  Result<Connection> dialed;
  std::string why;
  Result<Connection> accepted;
  std::string why_not_accepted;
};

/// Two hosts 50 ms apart; B shows a certificate for b.example and for its IP.
class Wss : public testing::Test {
 protected:
  Wss() {
    const crypto::WebTrust trust{false, authority.root()};
    EXPECT_TRUE(a.set_trust(trust, nullptr));
    show(b, {"DNS:b.example,IP:5.6.7.8", now()});
  }

  WallTime now() { return hosts.b.wall_now(); }
  void show(Transport& transport, const crypto::WebOrder& order) {
    const auto files = authority.issue(order);
    transport.set_certificate(crypto::make_web_server(files.chain, files.key, nullptr).value());
  }

  struct Accept {
    static Task<Connection> run(Listener& listener, std::string& why) {
      PYRSIA_CO_TRY(const auto incoming, co_await listener.accept());
      auto connection = co_await incoming->upgrade();
      why = incoming->detail();
      co_return std::move(connection);
    }
  };

  Dialed dial(Listener& listener, const std::string& to, const std::string& host_name = "") {
    Dialed out{Errc::cancelled, "", Errc::cancelled, ""};
    DialOptions options;
    options.host_name = host_name;
    options.detail = &out.why;
    auto [dialed, accepted] = hosts.world.run(a.dial(address(to), key(2).peer_id(), options),
                                              Accept::run(listener, out.why_not_accepted));
    out.dialed = std::move(dialed);
    out.accepted = std::move(accepted);
    return out;
  }

  sim::TwoHosts hosts;
  crypto::TestWebAuthority authority{hosts.a.wall_now()};
  Transport a{hosts.a, key(1), Config()};
  Transport b{hosts.b, key(2), Config()};
};

TEST_F(Wss, SharesThePortAndCostsTwoRoundTripsMoreThanTcp) {
  const auto plain = b.listen(address("/ip4/5.6.7.8/tcp/4001")).value();
  const auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4001/ws")).value();
  const auto secure = b.listen(address("/ip4/5.6.7.8/tcp/4001/wss")).value();
  EXPECT_EQ(secure->address(), address("/ip4/5.6.7.8/tcp/4001/tls/ws"));
  const auto by_name = dial(*plain, "/ip4/5.6.7.8/tcp/4001/tls/sni/b.example/ws");
  ASSERT_TRUE(by_name.dialed) << by_name.dialed.error() << by_name.why;
  ASSERT_TRUE(by_name.accepted) << by_name.accepted.error() << by_name.why_not_accepted;
  EXPECT_EQ(hosts.world.now(), TimePoint(450ms));  // The dialer was ready at 400 ms.
  EXPECT_EQ(by_name.dialed->remote, address("/ip4/5.6.7.8/tcp/4001/tls/sni/b.example/ws"));
  EXPECT_EQ(by_name.accepted->local, address("/ip4/5.6.7.8/tcp/4001/tls/ws"));
  EXPECT_TRUE(by_name.accepted->remote.is_secure_websocket());
  EXPECT_EQ(by_name.dialed->security, "/noise");
  EXPECT_TRUE(dial(*plain, "/ip4/5.6.7.8/tcp/4001/wss").dialed);  // By the IP.
  EXPECT_TRUE(dial(*plain, "/ip4/5.6.7.8/tcp/4001/tls/ws", "b.example").dialed);
  EXPECT_TRUE(dial(*plain, "/ip4/5.6.7.8/tcp/4001/ws").dialed);
  EXPECT_TRUE(dial(*plain, "/ip4/5.6.7.8/tcp/4001").dialed);
  EXPECT_EQ(b.metrics().web_tls_handshakes.value(), 3U);
  EXPECT_EQ(b.metrics().web_tls_failed.value(), 0U);
}

TEST_F(Wss, LibP2pTlsRunsInsideToo) {
  Config config;
  config.securities.assign(1, "/tls/1.0.0");
  Transport tls(hosts.a, key(3), config);
  const crypto::WebTrust trust{false, authority.root()};
  ASSERT_TRUE(tls.set_trust(trust, nullptr));
  const auto listener = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  std::string why;
  auto [dialed, accepted] =
      hosts.world.run(tls.dial(address("/ip4/5.6.7.8/tcp/443/wss"), key(2).peer_id(), {}),
                      Accept::run(*listener, why));
  ASSERT_TRUE(dialed) << dialed.error();
  EXPECT_EQ(accepted->security, "/tls/1.0.0");
}

TEST_F(Wss, AListenerKeepsTheNameThatItWasGiven) {
  const auto listener = b.listen(address("/ip4/5.6.7.8/tcp/0/tls/sni/b.example/ws")).value();
  const auto bound = listener->address();
  EXPECT_NE(bound.port(), 0);
  EXPECT_EQ(bound.with_port(1), address("/ip4/5.6.7.8/tcp/1/tls/sni/b.example/ws"));
  EXPECT_TRUE(dial(*listener, bound.to_string()).dialed);
  EXPECT_EQ(b.listen(bound).error(), Errc::address_in_use);
}

TEST_F(Wss, WithoutACertificateNobodyListens) {
  Transport bare(hosts.b, key(3), Config());
  EXPECT_FALSE(bare.can_listen(address("/ip4/5.6.7.8/tcp/1/tls/ws")));
  EXPECT_EQ(bare.listen(address("/ip4/5.6.7.8/tcp/1/tls/ws")).error(), Errc::invalid_argument);
}

TEST_F(Wss, ACertificateThatIsNoGoodEndsTheDialAndIsTold) {
  const auto listener = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  struct Case {
    crypto::WebOrder order;
    std::string to;
    std::string why;
  };
  const std::string by_name = "/ip4/5.6.7.8/tcp/443/tls/sni/b.example/ws";
  const std::vector<Case> cases = {
      {{"DNS:c.example", now()}, by_name, "the certificate of b.example: hostname mismatch"},
      {{"DNS:b.example", now()},
       "/ip4/5.6.7.8/tcp/443/tls/ws",
       "the certificate of 5.6.7.8: IP address mismatch"},
      {{"DNS:b.example", now() - 24h * 40, 30},
       by_name,
       "the certificate of b.example: certificate has expired"},
      {{"DNS:b.example", now() + 24h * 40, 30},
       by_name,
       "the certificate of b.example: certificate is not yet valid"},
  };
  for (const auto& c : cases) {
    show(b, c.order);
    const auto got = dial(*listener, c.to);
    EXPECT_EQ(got.dialed.error(), Errc::bad_signature);
    EXPECT_EQ(got.why, "web TLS: " + c.why);
    EXPECT_EQ(got.accepted.error(), Errc::refused);
    EXPECT_NE(got.why_not_accepted.find("alert"), std::string::npos) << got.why_not_accepted;
  }
  EXPECT_EQ(a.metrics().web_tls_failed.value(), cases.size());
  EXPECT_EQ(b.metrics().web_tls_failed.value(), cases.size());
  show(b, {"DNS:b.example", now()});  // A new one counts at once.
  EXPECT_TRUE(dial(*listener, by_name).dialed);
}

TEST_F(Wss, AnAuthorityThatWeDoNotTrustEndsTheDial) {
  const auto listener = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  const crypto::TestWebAuthority other(now(), "another root");
  const crypto::WebTrust trust{false, other.root()};
  ASSERT_TRUE(a.set_trust(trust, nullptr));
  const auto got = dial(*listener, "/ip4/5.6.7.8/tcp/443/tls/sni/b.example/ws");
  EXPECT_EQ(got.dialed.error(), Errc::bad_signature);
  EXPECT_EQ(got.why,
            "web TLS: the certificate of b.example: unable to get local issuer certificate");
}

TEST_F(Wss, AServerWithoutTlsEndsTheDial) {
  const auto plain = b.listen(address("/ip4/5.6.7.8/tcp/4001")).value();
  EXPECT_FALSE(dial(*plain, "/ip4/5.6.7.8/tcp/4001/tls/ws").dialed);
  const auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4001/ws")).value();
  const auto got = dial(*plain, "/ip4/5.6.7.8/tcp/4001/tls/ws");
  EXPECT_FALSE(got.dialed);
  EXPECT_EQ(got.accepted.error(), Errc::not_supported);
  EXPECT_EQ(got.why_not_accepted, "TLS, without a certificate");
}

TEST_F(Wss, AListenerForTlsAloneTakesNothingElse) {
  const auto secure = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  for (const auto* to : {"/ip4/5.6.7.8/tcp/443", "/ip4/5.6.7.8/tcp/443/ws"}) {
    const auto got = dial(*secure, to);
    EXPECT_FALSE(got.dialed);
    EXPECT_EQ(got.accepted.error(), Errc::not_supported);
  }
}

/// Sends bytes to B, reads until B ends it.
Task<> send_raw(Env& env, Bytes bytes) {
  PYRSIA_CO_TRY(const auto socket, co_await sim::dial(env, sim::at("5.6.7.8", 443)));
  PYRSIA_CO_TRY(co_await socket->write_all(bytes));
  std::array<std::uint8_t, 256> in;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await socket->read_some(in));
    if (count == 0) co_return ok;
  }
}

TEST_F(Wss, GarbageBehindTheFirstByteOfTlsIsRefused) {
  const auto secure = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  const std::vector<std::pair<Bytes, Errc>> cases = {
      {{0x16, 3, 1, 0xff, 0xff, 1}, Errc::malformed},
      {{0x16, 3, 1, 0, 4, 9, 9, 9, 9}, Errc::protocol_violation},
      {{0x16, 'G', 'E', 'T', ' ', '/'}, Errc::malformed},
      {{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0}, Errc::protocol_violation},
  };
  for (const auto& [bytes, error] : cases) {
    std::string why;
    auto [sent, accepted] = hosts.world.run(send_raw(hosts.a, bytes), Accept::run(*secure, why));
    EXPECT_EQ(accepted.error(), error) << int(bytes[5]) << " " << why;
  }
  EXPECT_TRUE(dial(*secure, "/ip4/5.6.7.8/tcp/443/tls/ws").dialed);
}

TEST_F(Wss, HttpThatIsNoUpgradeIsAnsweredInsideTls) {
  const auto secure = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws")).value();
  struct Get {
    static Task<std::string> run(Env& env, ws::WebTls& tls) {
      PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, sim::at("5.6.7.8", 443)));
      PYRSIA_CO_TRY(auto stream, co_await tls.connect(std::move(socket), "b.example", nullptr));
      const std::string request = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
      PYRSIA_CO_TRY(co_await stream->write_all(as_bytes(request)));
      std::array<std::uint8_t, 12> answer;
      PYRSIA_CO_TRY(co_await read_exactly(*stream, answer));
      co_return std::string(as_text(answer));
    }
  };
  ws::WebTls tls(hosts.a);
  const crypto::WebTrust trust{false, authority.root()};
  ASSERT_TRUE(tls.set_trust(trust, nullptr));
  std::string why;
  auto [answer, accepted] = hosts.world.run(Get::run(hosts.a, tls), Accept::run(*secure, why));
  EXPECT_EQ(answer.value(), "HTTP/1.1 400");
  EXPECT_EQ(accepted.error(), Errc::protocol_violation);
}

TEST_F(Wss, ReadsTheNameAndThePathOfItsAddress) {
  const auto listener = hosts.b.tcp_listen(sim::at("5.6.7.8", 443), TcpListenOptions()).value();
  struct Serve {
    static Task<std::string> run(TcpListener& listener, ws::WebTls& tls) {
      PYRSIA_CO_TRY(auto socket, co_await listener.accept());
      PYRSIA_CO_TRY(const auto stream, co_await tls.accept(std::move(socket), nullptr));
      std::array<std::uint8_t, 512> head;
      PYRSIA_CO_TRY(const auto count, co_await stream->read_some(head));
      co_return std::string(as_text(BytesView(head).first(count)));
    }
  };
  ws::WebTls tls(hosts.b);
  const auto files = authority.issue({"DNS:b.example,DNS:c.example", now()});
  tls.set_certificate(crypto::make_web_server(files.chain, files.key, nullptr).value());
  DialOptions options;
  options.host_name = "c.example";
  const auto to = address("/ip4/5.6.7.8/tcp/443/tls/sni/b.example/ws/http-path/x");
  auto [dialed, head] =
      hosts.world.run(a.dial(to, key(2).peer_id(), options), Serve::run(*listener, tls));
  EXPECT_FALSE(dialed);
  EXPECT_TRUE(head->starts_with("GET /x HTTP/1.1\r\nHost: c.example\r\n")) << *head;
}

TEST_F(Wss, WithTheOwnerOfAPortAllWhoShareItEnd) {
  const auto plain = b.listen(address("/ip4/5.6.7.8/tcp/4001")).value();
  const auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4001/ws")).value();
  auto secure = b.listen(address("/ip4/5.6.7.8/tcp/4001/tls/ws")).value();
  secure.reset();
  EXPECT_FALSE(dial(*plain, "/ip4/5.6.7.8/tcp/4001/tls/ws").dialed);
  secure = b.listen(address("/ip4/5.6.7.8/tcp/4001/tls/ws")).value();
  plain->close();
  std::string why;
  auto [one, other] = hosts.world.run(Accept::run(*websocket, why), Accept::run(*secure, why));
  EXPECT_EQ(one.error(), Errc::closed);
  EXPECT_EQ(other.error(), Errc::closed);
}

// Every flow has this test: break the network at each operation in turn, until none is left.
TEST(WssSweep, EndsCleanlyWhereverTheNetworkBreaks) {
  for (std::uint64_t number = 0;; ++number) {
    SCOPED_TRACE(number);
    ASSERT_LT(number, 200U);
    sim::TwoHosts hosts;
    const crypto::TestWebAuthority authority(hosts.a.wall_now());
    hosts.net.fail_operation(number);
    Transport a(hosts.a, key(1), Config());
    Transport b(hosts.b, key(2), Config());
    const crypto::WebTrust trust{false, authority.root()};
    ASSERT_TRUE(a.set_trust(trust, nullptr));
    const auto files = authority.issue({"IP:5.6.7.8", hosts.b.wall_now()});
    b.set_certificate(crypto::make_web_server(files.chain, files.key, nullptr).value());
    const auto listener = b.listen(address("/ip4/5.6.7.8/tcp/443/tls/ws"));
    if (!listener) continue;
    struct Run {
      static Task<> accept(Listener& from, bool& done) {
        PYRSIA_CO_TRY(const auto incoming, co_await from.accept());
        const auto accepted = co_await incoming->upgrade();
        done = accepted.has_value();
        co_return ok;
      }
    };
    bool is_accepted = false;
    TaskGroup group(hosts.a);
    group.spawn(Run::accept(**listener, is_accepted));
    auto dialing = a.dial(address("/ip4/5.6.7.8/tcp/443/tls/ws"), key(2).peer_id(), {});
    auto [dialed] = hosts.world.run(with_timeout(hosts.a, Duration(10s), std::move(dialing)));
    hosts.world.run_for(1s);
    group.cancel();
    auto [joined] = hosts.world.run(group.join());
    EXPECT_TRUE(joined);
    if (dialed && is_accepted && number >= hosts.net.operation_count()) break;
  }
}

}  // namespace
}  // namespace pyrsia::transport::tcp

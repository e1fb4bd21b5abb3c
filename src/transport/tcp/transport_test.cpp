#include "transport/tcp/transport.hpp"

#include "runtime/task_group.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "sim/pipe.hpp"
#include "transport/muxer_negotiation.hpp"
#include "transport/tcp/source.hpp"
#include "wire/buffered_stream.hpp"
#include "wire/multistream.hpp"

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

/// Two hosts 50 ms apart; B listens on port 4001.
class TcpTransport : public testing::Test {
 protected:
  TcpTransport() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    listener_b = b.listen(address("/ip4/5.6.7.8/tcp/4001")).value();
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host_a = net.add_host({"a", {"1.2.3.4", "2600::1"}, nullptr, 0ms});
  sim::SimHost& host_b = net.add_host({"b", {"5.6.7.8", "2600::2"}, nullptr, 0ms});
  Transport a{host_a, key(1), Config()};
  Transport b{host_b, key(2), Config()};
  std::unique_ptr<Listener> listener_b;
};

Task<Connection> dial_b(Transport& from, bool use_new_port) {
  DialOptions options;
  options.use_new_port = use_new_port;
  co_return co_await from.dial(address("/ip4/5.6.7.8/tcp/4001"), key(2).peer_id(), options);
}

Task<Connection> accept_one(Listener& listener) {
  PYRSIA_CO_TRY(auto incoming, co_await listener.accept());
  co_return co_await incoming->upgrade();
}

TEST_F(TcpTransport, AHandshakeTakesExactlyItsRoundTrips) {
  auto [dialed, accepted] = world.run(dial_b(a, false), accept_one(*listener_b));
  ASSERT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(world.now(), TimePoint(250ms));  // The dialer was ready at 200 ms.
  EXPECT_EQ(dialed->peer, key(2).peer_id());
  EXPECT_EQ(accepted->peer, key(1).peer_id());
  EXPECT_EQ(dialed->security, "/noise");
  EXPECT_EQ(dialed->muxer_protocol, "/yamux/1.0.0");
  EXPECT_EQ(dialed->remote, address("/ip4/5.6.7.8/tcp/4001"));
}

TEST_F(TcpTransport, DialsFromTheListenersPortAndSaysSo) {
  auto own = a.listen(address("/ip4/0.0.0.0/tcp/4009")).value();
  auto [dialed, accepted] = world.run(dial_b(a, false), accept_one(*listener_b));
  ASSERT_TRUE(dialed && accepted);
  EXPECT_TRUE(dialed->is_port_shared);
  EXPECT_EQ(dialed->local, address("/ip4/1.2.3.4/tcp/4009"));
  EXPECT_EQ(accepted->remote, address("/ip4/1.2.3.4/tcp/4009"));
  EXPECT_EQ(a.metrics().dials_from_listen_port.value(), 1U);
}

TEST_F(TcpTransport, TheSecondDialToTheSameEndpointFallsBackToAnotherPortAndSaysSo) {
  auto own = a.listen(address("/ip4/0.0.0.0/tcp/4009")).value();
  auto [first, accepted] = world.run(dial_b(a, false), accept_one(*listener_b));
  auto [second, accepted_too] = world.run(dial_b(a, false), accept_one(*listener_b));
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->is_port_shared);
  EXPECT_FALSE(second->is_port_shared);
  EXPECT_NE(second->local, first->local);
  EXPECT_EQ(a.metrics().port_conflicts.value(), 1U);
}

TEST_F(TcpTransport, ANewPortIsNeverAListeners) {
  auto own = a.listen(address("/ip4/1.2.3.4/tcp/4009")).value();
  auto [dialed, accepted] = world.run(dial_b(a, true), accept_one(*listener_b));
  ASSERT_TRUE(dialed);
  EXPECT_FALSE(dialed->is_port_shared);
  EXPECT_NE(dialed->local.port(), 4009);
}

TEST_F(TcpTransport, AClosedListenersPortIsNotUsedAnyMore) {
  auto own = a.listen(address("/ip4/0.0.0.0/tcp/4009")).value();
  own->close();
  auto [dialed, accepted] = world.run(dial_b(a, false), accept_one(*listener_b));
  ASSERT_TRUE(dialed);
  EXPECT_FALSE(dialed->is_port_shared);
}

TEST_F(TcpTransport, AWrongPeerEndsTheDial) {
  const DialOptions options;
  auto [dialed, accepted] = world.run(
      a.dial(address("/ip4/5.6.7.8/tcp/4001"), key(3).peer_id(), options), accept_one(*listener_b));
  EXPECT_EQ(dialed.error(), Errc::wrong_peer);
  EXPECT_FALSE(accepted);
}

TEST_F(TcpTransport, NobodyDialsItself) {
  const DialOptions options;
  auto [dialed] = world.run(a.dial(address("/ip4/5.6.7.8/tcp/4001"), key(1).peer_id(), options));
  EXPECT_EQ(dialed.error(), Errc::invalid_argument);
}

Config only(std::string_view security) {
  Config config;
  config.securities.assign(1, std::string(security));
  return config;
}

Config both(std::string_view first, std::string_view second) {
  Config config;
  config.securities = {std::string(first), std::string(second)};
  return config;
}

TEST_F(TcpTransport, TlsTakesTheSameRoundTripsAsNoise) {
  Transport tls(host_a, key(3), only("/tls/1.0.0"));
  auto [dialed, accepted] = world.run(dial_b(tls, false), accept_one(*listener_b));
  ASSERT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(world.now(), TimePoint(250ms));  // The dialer was ready at 200 ms.
  EXPECT_EQ(dialed->security, "/tls/1.0.0");
  EXPECT_EQ(accepted->security, "/tls/1.0.0");
  EXPECT_EQ(accepted->peer, key(3).peer_id());
  EXPECT_EQ(dialed->muxer_protocol, "/yamux/1.0.0");
}

/// Accepts until the listener is closed; counts what came to a good end.
Task<> accept_all(Listener& listener, std::vector<Connection>& good) {
  for (;;) {
    PYRSIA_CO_TRY(auto incoming, co_await listener.accept());
    auto connection = co_await incoming->upgrade();
    if (connection) good.push_back(*std::move(connection));
  }
}

TEST_F(TcpTransport, ARefusedSecurityIsFollowedByTheNextAndRemembered) {
  Transport c(host_b, key(4), only("/tls/1.0.0"));
  auto listener = c.listen(address("/ip4/5.6.7.8/tcp/4002")).value();
  Transport from(host_a, key(3), both("/noise", "/tls/1.0.0"));
  std::vector<Connection> good;
  TaskGroup group(world.env());
  group.spawn(accept_all(*listener, good));
  const DialOptions options;
  for (int i = 0; i < 2; ++i) {
    auto [dialed] =
        world.run(from.dial(address("/ip4/5.6.7.8/tcp/4002"), key(4).peer_id(), options));
    ASSERT_TRUE(dialed) << dialed.error();
    EXPECT_EQ(dialed->security, "/tls/1.0.0");
    EXPECT_EQ(from.metrics().refused_securities.value(), 1U);
  }
  world.run_for(1s);
  EXPECT_EQ(good.size(), 2U);
  group.cancel();
  auto [joined] = world.run(group.join());
  EXPECT_TRUE(joined);
}

TEST_F(TcpTransport, NothingInCommonEndsTheDial) {
  Transport c(host_b, key(4), only("/tls/1.0.0"));
  auto listener = c.listen(address("/ip4/5.6.7.8/tcp/4002")).value();
  Transport from(host_a, key(3), only("/noise"));
  const DialOptions options;
  auto [dialed, accepted] =
      world.run(from.dial(address("/ip4/5.6.7.8/tcp/4002"), key(4).peer_id(), options),
                accept_one(*listener));
  EXPECT_FALSE(dialed);
  EXPECT_FALSE(accepted);
}

TEST_F(TcpTransport, AWrongPeerEndsTheDialOverTlsToo) {
  Transport tls(host_a, key(3), only("/tls/1.0.0"));
  const DialOptions options;
  auto [dialed, accepted] =
      world.run(tls.dial(address("/ip4/5.6.7.8/tcp/4001"), key(9).peer_id(), options),
                accept_one(*listener_b));
  EXPECT_EQ(dialed.error(), Errc::wrong_peer);
  EXPECT_EQ(accepted.error(), Errc::refused);
}

Task<Connection> dial(Transport& from, std::string to, PeerId peer) {
  const DialOptions options;
  co_return co_await from.dial(address(to), std::move(peer), options);
}

TEST_F(TcpTransport, AWebSocketSharesThePortAndCostsOneRoundTripMore) {
  auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4001/ws")).value();
  EXPECT_EQ(websocket->address(), address("/ip4/5.6.7.8/tcp/4001/ws"));
  auto own = a.listen(address("/ip4/0.0.0.0/tcp/4009")).value();
  auto [dialed, accepted] =
      world.run(dial(a, "/ip4/5.6.7.8/tcp/4001/ws", key(2).peer_id()), accept_one(*listener_b));
  ASSERT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(world.now(), TimePoint(350ms));  // The dialer was ready at 300 ms.
  EXPECT_FALSE(dialed->is_port_shared);
  EXPECT_EQ(dialed->remote, address("/ip4/5.6.7.8/tcp/4001/ws"));
  EXPECT_TRUE(accepted->remote.is_websocket());
  auto [plain, accepted_too] = world.run(dial_b(a, false), accept_one(*listener_b));
  EXPECT_TRUE(plain && accepted_too);
  EXPECT_TRUE(plain->is_port_shared);
}

TEST_F(TcpTransport, AListenerTakesOnlyWhatItIsFor) {
  auto [refused, not_upgraded] =
      world.run(dial(a, "/ip4/5.6.7.8/tcp/4001/ws", key(2).peer_id()), accept_one(*listener_b));
  EXPECT_FALSE(refused);
  EXPECT_FALSE(not_upgraded);
  auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4002/ws")).value();
  auto [plain, accepted] =
      world.run(dial(a, "/ip4/5.6.7.8/tcp/4002", key(2).peer_id()), accept_one(*websocket));
  EXPECT_FALSE(plain);
  EXPECT_EQ(accepted.error(), Errc::not_supported);
  EXPECT_EQ(b.listen(address("/ip4/5.6.7.8/tcp/4002/ws")).error(), Errc::address_in_use);
}

TEST_F(TcpTransport, WithTheOwnerOfAPortWhoSharesItEnds) {
  auto websocket = b.listen(address("/ip4/5.6.7.8/tcp/4001/ws")).value();
  listener_b->close();
  auto [ended] = world.run(accept_one(*websocket));
  EXPECT_EQ(ended.error(), Errc::closed);
}

TEST_F(TcpTransport, DialsWhatRunsOverTcpWithAnIpAndAPortOnly) {
  EXPECT_TRUE(a.can_dial(address("/ip6/2600::2/tcp/1")));
  EXPECT_TRUE(a.can_dial(address("/ip6/2600::2/tcp/1/wss")));
  EXPECT_TRUE(a.can_dial(address("/ip6/2600::2/tcp/1/tls/sni/a.example/ws")));
  for (const auto* text : {"/ip4/1.2.3.4/tcp/0", "/ip4/0.0.0.0/tcp/1", "/dns4/a.example/tcp/1",
                           "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/0/wss", "/ip4/1.2.3.4/tcp/0/ws"})
    EXPECT_FALSE(a.can_dial(address(text))) << text;
}

/// Dials B as peers do that know nothing of muxers inside the handshake (rust-libp2p).
Task<std::unique_ptr<secure::Channel>> dial_without_early_muxer(Env& env) {
  const secure::noise::Identity identity(env, key(1), std::vector<std::string>());
  const Endpoint remote{IpAddress::v4({5, 6, 7, 8}), 4001};
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(auto socket, co_await env.tcp_connect(remote, options));
  std::unique_ptr<Stream> stream = std::make_unique<wire::BufferedStream>(std::move(socket));
  std::vector<std::string> proposals(1, "/noise");
  PYRSIA_CO_TRY(co_await wire::propose(*stream, std::move(proposals)));
  std::optional<PeerId> expected(key(2).peer_id());
  PYRSIA_CO_TRY(auto secured, co_await secure::noise::handshake(
                                  env, std::move(stream), Role::initiator, identity, expected));
  EXPECT_EQ(secured.muxer, "");
  auto channel =
      co_await agree_on_muxer(std::move(secured.channel), Role::initiator, "/yamux/1.0.0");
  co_return std::move(channel);
}

TEST_F(TcpTransport, APeerWithoutEarlyMuxersIsAskedForTheMuxer) {
  auto [dialed, accepted] = world.run(dial_without_early_muxer(host_a), accept_one(*listener_b));
  EXPECT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(accepted->muxer_protocol, "/yamux/1.0.0");
}

// Every flow has this test: break the network at each operation in turn, until none is left.
class TcpTransportSweep : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Securities, TcpTransportSweep, testing::Values("/noise", "/tls/1.0.0"));

TEST_P(TcpTransportSweep, EndsCleanlyWhereverTheNetworkBreaks) {
  for (std::uint64_t number = 0;; ++number) {
    SCOPED_TRACE(number);
    ASSERT_LT(number, 200U);
    sim::World world;
    sim::Network net{world};
    auto& host_a = net.add_host({"a", {"1.2.3.4"}, nullptr, 1ms});
    auto& host_b = net.add_host({"b", {"5.6.7.8"}, nullptr, 1ms});
    net.fail_operation(number);
    Transport a{host_a, key(1), only(GetParam())};
    Transport b{host_b, key(2), Config()};
    auto listener = b.listen(address("/ip4/5.6.7.8/tcp/4001"));
    if (!listener) continue;
    auto accepting = accept_one(**listener);
    TaskGroup group(world.env());
    bool is_accepted = false;
    struct Run {
      static Task<> accept(Task<Connection> task, bool& done) {
        const auto accepted = co_await std::move(task);
        done = accepted.has_value();
        co_return ok;
      }
    };
    group.spawn(Run::accept(std::move(accepting), is_accepted));
    auto [dialed] = world.run(dial_b(a, false));
    world.run_for(1s);
    group.cancel();
    auto [joined] = world.run(group.join());
    EXPECT_TRUE(joined);
    if (dialed && is_accepted && number >= net.operation_count()) break;
  }
}

TEST(DialSource, FollowsTheRouteThenTheFamily) {
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  const Endpoint lan{ip("192.168.1.5"), 1};
  const Endpoint other{ip("10.0.0.5"), 2};
  const Endpoint loopback{ip("127.0.0.1"), 3};
  const Endpoint any{ip("0.0.0.0"), 4};
  const Endpoint any6{ip("::"), 5};
  const std::vector<InterfaceAddress> interfaces{{"eth0", lan.ip, 24}, {"eth1", other.ip, 8}};
  const Endpoint in_lan{ip("192.168.1.9"), 80};
  const Endpoint far{ip("8.8.8.8"), 80};
  const Endpoint local{ip("127.0.0.1"), 80};
  const Endpoint far6{ip("2600::1"), 80};
  const std::vector<Endpoint> all{lan, other, loopback, any, any6};
  EXPECT_EQ(dial_source(in_lan, all, interfaces), lan);
  EXPECT_EQ(dial_source(local, all, interfaces), loopback);
  EXPECT_EQ(dial_source(far, all, interfaces), any);
  EXPECT_EQ(dial_source(far6, all, interfaces), any6);
  EXPECT_EQ(dial_source(far, {lan}, interfaces), lan);
  EXPECT_EQ(dial_source(far, {lan, other}, interfaces), std::nullopt);
  EXPECT_EQ(dial_source(far, {loopback, any6}, interfaces), std::nullopt);
  EXPECT_EQ(dial_source(local, {lan, any}, interfaces), any);
}

}  // namespace
}  // namespace pyrsia::transport::tcp

#include "crypto/test_web_authority.hpp"
#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/swarm.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

constexpr auto kAddressOfB = "/ip4/5.6.7.8/tcp/4001";

/// B listens; others are added as a test needs them.
class SwarmLimits : public testing::Test {
 protected:
  SwarmLimits() { world.set_run_limit(1h); }
  ~SwarmLimits() override {
    for (auto& node : nodes) {
      auto [stopped] = world.run(node->swarm.stop());
      EXPECT_TRUE(stopped) << world.deadlock_report();
    }
    if (!b) return;
    auto [stopped] = world.run(b->swarm.stop());
    EXPECT_TRUE(stopped) << world.deadlock_report();
  }

  void begin(const Config& config) {
    b = std::make_unique<TestNode>(host_b, 1, config);
    b->listen(kAddressOfB);
  }
  sim::SimHost& add_host(const std::string& ip) { return net.add_host({ip, {ip}, nullptr, 1ms}); }
  TestNode& add_node(sim::SimHost& host) {
    const auto number = std::uint8_t(nodes.size() + 2);
    auto& node = *nodes.emplace_back(std::make_unique<TestNode>(host, number));
    node.knows(*b, {kAddressOfB});
    return node;
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host_b = net.add_host({"b", {"5.6.7.8"}, nullptr, 1ms});
  std::unique_ptr<TestNode> b;
  std::vector<std::unique_ptr<TestNode>> nodes;
};

/// Connects a bare socket to B, sends `bytes` and waits for the end. Returns how long it was let.
Task<Duration> say(Env& env, Bytes bytes, Duration pause) {
  const Endpoint remote{IpAddress::v4({5, 6, 7, 8}), 4001};
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(const auto socket, co_await env.tcp_connect(remote, options));
  const auto start = env.now();
  const auto step = pause > Duration(0) ? std::size_t(1) : std::max<std::size_t>(bytes.size(), 1);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (!co_await socket->write_all(BytesView(bytes).subspan(at, step))) break;
    PYRSIA_CO_TRY(co_await env.sleep_for(pause));
  }
  std::array<std::uint8_t, 512> answer;
  for (;;) {
    const auto read = co_await socket->read_some(answer);
    if (!read || *read == 0) co_return env.now() - start;
  }
}

TEST_F(SwarmLimits, APeerThatSaysNothingIsDroppedAfterTheUpgradeTimeout) {
  begin({});
  auto& host = add_host("1.2.3.4");
  auto [lasted] = world.run(say(host, {}, 0s));
  ASSERT_TRUE(lasted);
  EXPECT_GE(*lasted, 20s - 1ms);
  EXPECT_LE(*lasted, 20s + 10ms);
  EXPECT_EQ(b->swarm.metrics().upgrades_failed.value(), 1U);
}

TEST_F(SwarmLimits, ASlowLorisIsDroppedAfterTheUpgradeTimeoutToo) {
  begin({});
  auto& host = add_host("1.2.3.4");
  auto [lasted] = world.run(say(host, Bytes(100, 0x13), 1s));
  ASSERT_TRUE(lasted);
  EXPECT_LE(*lasted, 21s);
}

TEST_F(SwarmLimits, ATlsHandshakeThatGoesNowhereIsDroppedAfterTheUpgradeTimeoutToo) {
  begin({});
  const crypto::TestWebAuthority authority(host_b.wall_now());
  const auto files = authority.issue({"IP:5.6.7.8", host_b.wall_now()});
  b->tcp->set_certificate(crypto::make_web_server(files.chain, files.key, nullptr).value());
  b->listen(std::string(kAddressOfB) + "/tls/ws");
  auto& host = add_host("1.2.3.4");
  Bytes hello{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};
  hello.resize(205);
  for (const std::size_t size : {1, 5, 100}) {
    const auto begun = world.now();
    auto [lasted] = world.run(say(host, Bytes(hello.begin(), hello.begin() + long(size)), 1s));
    ASSERT_TRUE(lasted);
    EXPECT_GE(world.now() - begun, Config().upgrade_timeout - 1ms);
    EXPECT_LE(*lasted, Config().upgrade_timeout + 2s);
  }
  EXPECT_EQ(b->swarm.metrics().upgrades_failed.value(), 3U);
}

TEST_F(SwarmLimits, AHandshakeThatStopsInItsMiddleIsDroppedAfterTheUpgradeTimeoutToo) {
  begin({});
  auto& host = add_host("1.2.3.4");
  // Half of a ClientHello, and half of Noise's first message.
  const std::vector<std::string> halves{
      std::string("\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x16\x03\x01\0\xc8\x01\0\0\xc4", 41),
      std::string("\x13/multistream/1.0.0\n\x07/noise\n\0 abcdefgh", 38)};
  for (const auto& half : halves) {
    auto [lasted] = world.run(say(host, Bytes(half.begin(), half.end()), 0s));
    ASSERT_TRUE(lasted);
    EXPECT_GE(*lasted, Config().upgrade_timeout - 1ms);
    EXPECT_LE(*lasted, Config().upgrade_timeout + 1s);
  }
  EXPECT_EQ(b->swarm.metrics().upgrades_failed.value(), 2U);
}

TEST_F(SwarmLimits, AWebSocketRequestThatNeverEndsIsDroppedAfterTheUpgradeTimeoutToo) {
  begin({});
  b->listen(std::string(kAddressOfB) + "/ws");
  auto& host = add_host("1.2.3.4");
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n";
  for (const std::size_t size : {std::size_t(1), std::size_t(4), request.size()}) {
    const auto begun = world.now();
    auto [lasted] = world.run(say(host, Bytes(request.begin(), request.begin() + long(size)), 1s));
    ASSERT_TRUE(lasted);
    EXPECT_GE(world.now() - begun, Config().upgrade_timeout - 1ms);
    EXPECT_LE(*lasted, Config().upgrade_timeout + 2s);
  }
  EXPECT_EQ(b->swarm.metrics().upgrades_failed.value(), 3U);
}

TEST_F(SwarmLimits, ManySilentPeersOfOneAddressLeaveRoomForOthers) {
  begin({.max_incoming_upgrades = 8, .max_incoming_upgrades_of_one_ip = 4});
  auto& host = add_host("1.2.3.4");
  auto& node = add_node(add_host("1.2.3.5"));
  auto [one, two, three, four, five, six, other] =
      world.run(say(host, {}, 0s), say(host, {}, 0s), say(host, {}, 0s), say(host, {}, 0s),
                say(host, {}, 0s), say(host, {}, 0s), connect(node, b->peer()));
  EXPECT_TRUE(other) << other.error();
  EXPECT_LT(*five, 1s);
  EXPECT_LT(*six, 1s);
  EXPECT_EQ(b->swarm.metrics().connections_refused.value(), 2U);
}

TEST_F(SwarmLimits, GarbageAtTheFirstByteEndsTheConnectionAndNothingElse) {
  begin({});
  auto& host = add_host("1.2.3.4");
  const std::vector<std::string> garbage{
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      std::string(3000, '\xff'),
      "\x13/multistream/1.0.0\n\x06/none\n\x06/none\n",
      std::string("\x13/multistream/1.0.0\n\x07/noise\n\xff\xff") + std::string(70'000, 'x'),
      std::string("\x13/multistream/1.0.0\n\x07/noise\n\0\0", 30),
  };
  for (const auto& text : garbage) {
    auto [lasted] = world.run(say(host, Bytes(text.begin(), text.end()), 0s));
    ASSERT_TRUE(lasted);
    EXPECT_LE(*lasted, 21s);
  }
  auto& node = add_node(add_host("1.2.3.5"));
  auto [answer] = world.run(ask(node, b->peer(), "still alive"));
  EXPECT_TRUE(answer) << answer.error();
}

TEST_F(SwarmLimits, OverTheConnectionLimitNewOnesAreRefused) {
  begin({.max_connections = 2});
  for (const auto* ip : {"1.2.3.4", "1.2.3.5", "1.2.3.6"}) add_node(add_host(ip));
  for (auto& node : nodes) {
    auto [connected] = world.run(connect(*node, b->peer()));
    world.run_for(1s);
  }
  EXPECT_EQ(b->swarm.connections().size(), 2U);
  EXPECT_FALSE(nodes[2]->swarm.is_connected(b->peer()));
  EXPECT_EQ(b->swarm.metrics().connections_refused.value(), 1U);
  auto [outbound] = world.run(
      b->swarm.connect(DialRequest{nodes[2]->peer(), {*Multiaddr::parse("/ip4/1.2.3.6/tcp/1")}}));
  EXPECT_EQ(outbound.error(), Errc::limit_reached);
}

TEST_F(SwarmLimits, OnePeerAndOneAddressHaveLimitsOfTheirOwn) {
  begin({.max_connections_of_one_peer = 2, .max_connections_of_one_ip = 3});
  auto& host = add_host("1.2.3.4");
  auto& greedy = add_node(host);
  auto& second = add_node(host);
  auto& third = add_node(host);
  const DialRequest fresh{.peer = b->peer(), .addresses = {}, .is_new_connection = true};
  for (int i = 0; i < 3; ++i) {
    auto [connected] = world.run(greedy.swarm.connect(fresh));
    world.run_for(1s);
  }
  EXPECT_EQ(b->swarm.connections_to(greedy.peer()).size(), 2U);
  auto [at_limit] = world.run(connect(second, b->peer()));
  auto [over_limit] = world.run(connect(third, b->peer()));
  world.run_for(1s);
  EXPECT_TRUE(b->swarm.is_connected(second.peer()));
  EXPECT_FALSE(b->swarm.is_connected(third.peer()));
}

TEST_F(SwarmLimits, AcceptsPerSecondAreLimited) {
  begin({.max_accepts_per_second = 2});
  auto& host = add_host("1.2.3.4");
  auto [one, two, three] = world.run(say(host, {}, 0s), say(host, {}, 0s), say(host, {}, 0s));
  EXPECT_LT(*three, 1s);
  EXPECT_GT(*two, 10s);
}

/// Holds streams until it is told not to.
struct Holder {
  explicit Holder(Env& e) : env(e) {}
  Task<> hold(IncomingStream incoming) {
    ++held;
    PYRSIA_CO_TRY(co_await env.sleep_for(1min));
    --held;
    co_return co_await incoming.stream->close_write();
  }
  Env& env;
  int held = 0;
};

Task<> open_and_wait(TestNode& node, PeerId peer, std::string protocol) {
  PYRSIA_CO_TRY(auto stream, co_await node.swarm.open_stream(peer, protocol));
  std::array<std::uint8_t, 1> byte;
  PYRSIA_CO_TRY(co_await stream->read_some(byte));
  co_return ok;
}

TEST_F(SwarmLimits, StreamsOfAProtocolAreLimitedForAllAndForOnePeer) {
  begin({});
  Holder holder(host_b);
  b->swarm.handle("/hold/1", {.streams = 3, .streams_of_one_peer = 2},
                  [&holder](IncomingStream incoming) { return holder.hold(std::move(incoming)); });
  auto& one = add_node(add_host("1.2.3.4"));
  auto& two = add_node(add_host("1.2.3.5"));
  auto [a1, a2, a3, b1, b2] =
      world.run(open_and_wait(one, b->peer(), "/hold/1"), open_and_wait(one, b->peer(), "/hold/1"),
                open_and_wait(one, b->peer(), "/hold/1"), open_and_wait(two, b->peer(), "/hold/1"),
                open_and_wait(two, b->peer(), "/hold/1"));
  EXPECT_EQ(int(bool(a1)) + int(bool(a2)) + int(bool(a3)), 2);
  EXPECT_EQ(int(bool(b1)) + int(bool(b2)), 1);
  EXPECT_EQ(b->swarm.metrics().streams_refused.value(), 2U);
  EXPECT_EQ(holder.held, 0);
}

/// Opens `count` streams on which it says nothing.
Task<> open_silent(transport::Connection& connection, int count,
                   std::vector<std::unique_ptr<Stream>>& streams) {
  for (int i = 0; i < count; ++i) {
    PYRSIA_CO_TRY(auto stream, co_await connection.muxer->open_stream());
    PYRSIA_CO_TRY(co_await stream->write_all(as_bytes("\x13")));
    streams.push_back(std::move(stream));
  }
  co_return ok;
}

struct NoStreams final : mux::StreamSink {
  void on_stream(std::unique_ptr<Stream>) override {}
};

TEST_F(SwarmLimits, SilentStreamsAreBoundedAndEndAfterTheNegotiationTimeout) {
  begin({.max_negotiating_streams = 16});
  auto& host = add_host("1.2.3.4");
  const auto key = test_key(99);
  transport::tcp::Transport tcp(host, key, transport::tcp::Config());
  const transport::DialOptions options;
  auto [connection] = world.run(tcp.dial(*Multiaddr::parse(kAddressOfB), b->peer(), options));
  ASSERT_TRUE(connection);
  NoStreams sink;
  TaskGroup group(host);
  group.spawn(connection->muxer->run(sink));
  std::vector<std::unique_ptr<Stream>> streams;
  auto [opened] = world.run(open_silent(*connection, 100, streams));
  EXPECT_TRUE(opened) << opened.error();
  world.run_for(1s);
  EXPECT_EQ(b->swarm.metrics().streams_refused.value(), 84U);
  world.run_for(10s);
  EXPECT_EQ(b->swarm.metrics().streams_refused.value(), 100U);
  EXPECT_TRUE(b->swarm.is_connected(key.peer_id()));
  streams.clear();
  connection->muxer->close(mux::GoAway::normal);
  auto [joined] = world.run(group.join());
  EXPECT_TRUE(joined);
}

TEST_F(SwarmLimits, ASilentListenerCostsTheDialTimeout) {
  begin({});
  auto& host = add_host("1.2.3.4");
  const auto listener =
      host.tcp_listen({IpAddress::v4({1, 2, 3, 4}), 7}, TcpListenOptions()).value();
  auto [connected] = world.run(b->swarm.connect(
      DialRequest{test_key(9).peer_id(), {*Multiaddr::parse("/ip4/1.2.3.4/tcp/7")}}));
  EXPECT_EQ(connected.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(15s));
}

TEST_F(SwarmLimits, NoMoreDialsAtOnceThanTheLimitAndAllAreTried) {
  begin({.max_dials = 2, .dial_timeout = 1s, .connect_timeout = 1min});
  DialRequest request{.peer = test_key(9).peer_id(), .addresses = {}};
  for (std::uint16_t port = 1; port <= 6; ++port)  // Nobody is there.
    request.addresses.push_back(Multiaddr::parse("/ip4/9.9.9.9/tcp/1")->with_port(port));
  host_b.set_addresses({"5.6.7.8"});
  auto& mute = add_host("9.9.9.9");
  mute.crash();
  auto [connected] = world.run(b->swarm.connect(request));
  EXPECT_EQ(connected.error(), Errc::timed_out);
  EXPECT_EQ(b->swarm.metrics().dials_failed.value(), 6U);
  EXPECT_GE(world.now(), TimePoint(3s));
  EXPECT_LE(world.now(), TimePoint(4s));
}

TEST_F(SwarmLimits, ManyAddressesEndWithTheConnectTimeout) {
  begin({.connect_timeout = 20s});
  add_host("9.9.9.9").crash();
  DialRequest request{.peer = test_key(9).peer_id(), .addresses = {}};
  for (std::uint16_t port = 1; port <= 99; ++port)
    request.addresses.push_back(Multiaddr::parse("/ip4/9.9.9.9/tcp/1")->with_port(port));
  auto [connected] = world.run(b->swarm.connect(request));
  EXPECT_EQ(connected.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(20s));
}

}  // namespace
}  // namespace pyrsia::swarm

#include "protocols/ping/pinger.hpp"

#include "protocols/ping/exchange.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::ping {
namespace {

using namespace std::chrono_literals;

struct Node {
  Node(Env& env, std::uint8_t number) : node(env, number), pinger(node.swarm, {}) {}
  swarm::TestNode node;
  Pinger pinger;
};

/// Two hosts, 50 ms apart; B listens and answers pings, A knows where.
class PingerTest : public testing::Test {
 protected:
  PingerTest() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    b.node.listen("/ip4/5.6.7.8/tcp/4001");
    a.node.knows(b.node, {"/ip4/5.6.7.8/tcp/4001"});
  }
  ~PingerTest() override {
    auto [at_a, at_b] = world.run(a.node.swarm.stop(), b.node.swarm.stop());
    EXPECT_TRUE(at_a && at_b);
  }

  sim::World world;
  sim::Network net{world};
  Node a{net.add_host({"a", {"1.2.3.4"}, nullptr, 0ms}), 1};
  Node b{net.add_host({"b", {"5.6.7.8"}, nullptr, 0ms}), 2};
};

TEST_F(PingerTest, MeasuresARoundTripAgainAndAgain) {
  b.pinger.start();
  for (int i = 0; i < 5; ++i) {
    auto [took] = world.run(a.pinger.ping(b.node.peer()));
    ASSERT_TRUE(took) << took.error();
    EXPECT_EQ(*took, 100ms);
  }
  EXPECT_EQ(a.node.swarm.connections().size(), 1u);
  EXPECT_EQ(b.pinger.metrics().answered.value(), 5u);
}

TEST_F(PingerTest, PeerWithoutPingIsToldApart) {
  auto [took] = world.run(a.pinger.ping(b.node.peer()));
  EXPECT_EQ(took.error(), Errc::not_supported);
  EXPECT_EQ(a.pinger.metrics().failed.value(), 1u);
}

TEST_F(PingerTest, LostConnectionIsClosedNotPinged) {
  b.pinger.start();
  auto [took] = world.run(a.pinger.ping_on(12345));
  EXPECT_EQ(took.error(), Errc::closed);
}

Task<std::size_t> stay_silent(swarm::TestNode& node, PeerId peer) {
  const std::string protocol(kProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await node.swarm.open_stream(std::move(peer), protocol));
  PYRSIA_CO_TRY(co_await ask(node.env, *stream));
  std::uint8_t byte = 0;
  const std::span<std::uint8_t> out(&byte, 1);
  co_return co_await stream->read_some(out);
}

TEST_F(PingerTest, IdleStreamIsEndedAfterTenSeconds) {
  b.pinger.start();
  auto [connected] = world.run(swarm::connect(a.node, b.node.peer()));
  const auto begin = world.now();
  auto [read] = world.run(stay_silent(a.node, b.node.peer()));
  EXPECT_TRUE(!read || *read == 0);
  EXPECT_GE(world.now() - begin, 10s);
  EXPECT_LE(world.now() - begin, 11s);
}

}  // namespace
}  // namespace pyrsia::ping

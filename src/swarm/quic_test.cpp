/// The swarm over QUIC, and beside TCP.
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"
#include "swarm/test_node.hpp"
#include "transport/quic/transport.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

struct QuicNode : TestNode {
  QuicNode(Env& e, std::uint8_t number, const Config& config = {}) : TestNode(e, number, config) {
    auto owned = std::make_unique<transport::quic::Transport>(e, key, transport::quic::Config());
    quic = owned.get();
    swarm.add_transport(std::move(owned));
  }

  transport::quic::Transport* quic = nullptr;
};

class SwarmOverQuic : public testing::Test {
 protected:
  ~SwarmOverQuic() override { hosts.world.run(a.swarm.stop(), b.swarm.stop()); }

  sim::TwoHosts hosts;
  QuicNode a{hosts.a, 1};
  QuicNode b{hosts.b, 2};
};

TEST_F(SwarmOverQuic, AStreamOfAKnownProtocolAnswersAfterTwoRoundTrips) {
  b.listen("/ip4/0.0.0.0/udp/4001/quic-v1");
  a.knows(b, {"/ip4/5.6.7.8/udp/4001/quic-v1"});
  a.swarm.peer_store().set_protocols(b.peer(), {"/echo/1"});
  auto [answer] = hosts.world.run(ask(a, b.peer(), "hello"));
  EXPECT_EQ(answer.value(), "hello");
  EXPECT_EQ(hosts.world.now(), TimePoint(200ms));
}

// The protocol is proposed together with the first bytes, as one that asks for one has no other.
TEST_F(SwarmOverQuic, AStreamToAPeerThatNobodyKnowsAnswersAfterTwoRoundTrips) {
  b.listen("/ip4/0.0.0.0/udp/4001/quic-v1");
  a.knows(b, {"/ip4/5.6.7.8/udp/4001/quic-v1"});
  ASSERT_FALSE(a.swarm.peer_store().supports(b.peer(), "/echo/1"));
  auto [answer] = hosts.world.run(ask(a, b.peer(), "hello"));
  EXPECT_EQ(answer.value(), "hello");
  EXPECT_EQ(hosts.world.now(), TimePoint(200ms));
}

TEST_F(SwarmOverQuic, ObserversHearOnceTheServerHasJudged) {
  b.listen("/ip4/0.0.0.0/udp/4001/quic-v1");
  a.knows(b, {"/ip4/5.6.7.8/udp/4001/quic-v1"});
  auto [info] = hosts.world.run(connect(a, b.peer()));
  ASSERT_TRUE(info) << info.error();
  EXPECT_EQ(hosts.world.now(), TimePoint(200ms));
  hosts.world.run_for(0ms);
  EXPECT_EQ(a.heard.connected.size(), 1U);
  EXPECT_EQ(info->remote.to_string(), "/ip4/5.6.7.8/udp/4001/quic-v1");
  a.swarm.disconnect(b.peer());
  hosts.world.run_for(1s);
  EXPECT_EQ(a.heard.disconnected.size(), 1U);
  EXPECT_EQ(b.heard.disconnected.size(), 1U);
}

TEST_F(SwarmOverQuic, ARefusalOfTheServerFailsTheConnect) {
  b.listen("/ip4/0.0.0.0/udp/4001/quic-v1");
  a.knows(b, {"/ip4/5.6.7.8/udp/4001/quic-v1"});
  // By B's calendar A's certificate, made for 1975 to 4096, is not valid yet.
  hosts.b.set_wall_offset(-std::chrono::hours(24 * 365 * 60));
  auto [info] = hosts.world.run(connect(a, b.peer()));
  EXPECT_EQ(info.error(), Errc::refused);
  hosts.world.run_for(1s);
  EXPECT_TRUE(a.heard.connected.empty());
  EXPECT_TRUE(a.heard.disconnected.empty());
}

TEST_F(SwarmOverQuic, TcpIsThereWhereUdpIsNot) {
  b.listen("/ip4/0.0.0.0/tcp/4001");
  a.knows(b, {"/ip4/5.6.7.8/udp/4001/quic-v1", "/ip4/5.6.7.8/tcp/4001"});
  auto [answer] = hosts.world.run(ask(a, b.peer(), "hello"));
  EXPECT_EQ(answer.value(), "hello");
}

Config config_of_short_windows() {
  Config config;
  config.black_holes.window = 3;
  config.black_holes.min_successes = 1;
  return config;
}

/// `dead` is dialed first, until it has failed three times.
void expect_held_back(const std::string& dead) {
  sim::TwoHosts hosts;
  QuicNode a(hosts.a, 1, config_of_short_windows());
  QuicNode b(hosts.b, 2);
  b.listen("/ip4/0.0.0.0/tcp/4001");
  a.knows(b, {dead, "/ip4/5.6.7.8/tcp/4001"});
  const auto time_to_connect = [&] {
    const auto begin = hosts.world.now();
    auto [connected] = hosts.world.run(connect(a, b.peer()));
    EXPECT_TRUE(connected) << connected.error();
    const auto took = hosts.world.now() - begin;
    a.swarm.disconnect(b.peer());
    hosts.world.run_for(1s);
    return took;
  };
  for (int i = 0; i < 3; ++i) EXPECT_GT(time_to_connect(), Duration(250ms)) << i;
  EXPECT_EQ(a.swarm.metrics().dials_held_back.value(), 0U);
  EXPECT_LT(time_to_connect(), Duration(250ms));
  EXPECT_EQ(a.swarm.metrics().dials_held_back.value(), 1U);
  hosts.world.run(a.swarm.stop(), b.swarm.stop());
}

TEST(SwarmBlackHoles, WhereUdpLeadsNowhereTcpIsDialedFirst) {
  expect_held_back("/ip4/5.6.7.8/udp/4001/quic-v1");
}

TEST(SwarmBlackHoles, WhereIpv6LeadsNowhereIpv4IsDialedFirst) {
  expect_held_back("/ip6/2600::dead/tcp/4001");
}

TEST(SwarmBlackHoles, DialsForAutonatNeitherCountNorAreHeldBack) {
  sim::TwoHosts hosts;
  QuicNode a(hosts.a, 1, config_of_short_windows());
  QuicNode b(hosts.b, 2);
  b.listen("/ip4/0.0.0.0/tcp/4001");
  const auto dead = *Multiaddr::parse("/ip4/5.6.7.8/udp/4001/quic-v1");
  const auto dial_back = [&] {
    DialRequest request{.peer = b.peer(), .addresses = {dead}, .is_only_these = true};
    request.reach_timeout = 1s;
    auto [connected] = hosts.world.run(a.swarm.connect(request));
    EXPECT_FALSE(connected);
  };
  for (int i = 0; i < 5; ++i) dial_back();
  a.knows(b, {dead.to_string(), "/ip4/5.6.7.8/tcp/4001"});
  for (int i = 0; i < 4; ++i) {  // Three of these do count.
    hosts.world.run(connect(a, b.peer()));
    EXPECT_EQ(a.swarm.metrics().dials_held_back.value(), i < 3 ? 0U : 1U);
    a.swarm.disconnect(b.peer());
    hosts.world.run_for(1s);
  }
  dial_back();
  EXPECT_EQ(a.swarm.metrics().dials_held_back.value(), 1U);
  hosts.world.run(a.swarm.stop(), b.swarm.stop());
}

}  // namespace
}  // namespace pyrsia::swarm

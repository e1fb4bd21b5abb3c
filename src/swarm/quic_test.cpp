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
  QuicNode(Env& e, std::uint8_t number) : TestNode(e, number) {
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

}  // namespace
}  // namespace pyrsia::swarm

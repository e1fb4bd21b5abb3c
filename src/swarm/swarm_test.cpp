#include "swarm/swarm.hpp"

#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

constexpr auto kAddressOfB = "/ip4/5.6.7.8/tcp/4001";

Task<> store(Task<ConnectionInfo> task, std::optional<Result<ConnectionInfo>>& out) {
  out = co_await std::move(task);
  co_return ok;
}

/// Two hosts on the internet, 50 ms apart; B listens, A knows where.
class SwarmTest : public testing::Test {
 protected:
  SwarmTest() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    world.set_run_limit(1h);
  }
  ~SwarmTest() override { stop(); }

  void begin(const Config& config_of_b = {}) {
    a = std::make_unique<TestNode>(host_a, 1);
    b = std::make_unique<TestNode>(host_b, 2, config_of_b);
    b->listen(kAddressOfB);
    a->knows(*b, {kAddressOfB});
  }
  void stop() {
    for (auto* node : {&a, &b}) {
      if (!*node) continue;
      auto [stopped] = world.run((*node)->swarm.stop());
      EXPECT_TRUE(stopped) << stopped.error() << world.deadlock_report();
      node->reset();
    }
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host_a = net.add_host({"a", {"1.2.3.4", "2600::1"}, nullptr, 0ms});
  sim::SimHost& host_b = net.add_host({"b", {"5.6.7.8", "2600::2"}, nullptr, 0ms});
  std::unique_ptr<TestNode> a;
  std::unique_ptr<TestNode> b;
};

TEST_F(SwarmTest, ConnectingTakesTwoRoundTripsAndTheFirstAnswerAThird) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  ASSERT_TRUE(connected) << connected.error();
  EXPECT_EQ(world.now(), TimePoint(200ms));  // TCP, then Noise; the muxer is agreed on in it.
  auto [answer] = world.run(ask(*a, b->peer(), "hello"));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, "hello");
  EXPECT_EQ(world.now(), TimePoint(300ms));
}

TEST_F(SwarmTest, AProtocolThatIdentifyHasNotNamedIsAskedForFirst) {
  begin();
  a->swarm.peer_store().set_protocols(b->peer(), {"/other/1"});
  auto [answer] = world.run(ask(*a, b->peer(), "hello"));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(world.now(), TimePoint(400ms));
}

TEST_F(SwarmTest, BothSidesKnowTheSameOfAConnection) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  world.run_for(1s);
  ASSERT_EQ(a->heard.connected.size(), 1U);
  ASSERT_EQ(b->heard.connected.size(), 1U);
  const auto& at_a = a->heard.connected[0];
  const auto& at_b = b->heard.connected[0];
  EXPECT_EQ(at_a.direction, Direction::outbound);
  EXPECT_EQ(at_b.direction, Direction::inbound);
  EXPECT_EQ(at_a.peer, b->peer());
  EXPECT_EQ(at_b.peer, a->peer());
  EXPECT_EQ(at_a.local, at_b.remote);
  EXPECT_EQ(at_a.remote, at_b.local);
  EXPECT_EQ(at_a.remote.to_string(), kAddressOfB);
  EXPECT_EQ(at_b.peer_key, a->key.public_key());
  EXPECT_FALSE(at_a.is_port_shared);  // A does not listen.
  EXPECT_TRUE(at_b.is_port_shared);
  EXPECT_EQ(b->swarm.peer_count(), 1U);
}

TEST_F(SwarmTest, AnUnknownProtocolIsRefused) {
  begin();
  a->swarm.peer_store().set_protocols(b->peer(), {"/other/1"});
  auto [stream] = world.run(a->swarm.open_stream(b->peer(), "/nobody/1"));
  EXPECT_EQ(stream.error(), Errc::not_supported);
  world.run_for(1s);
  EXPECT_EQ(b->swarm.metrics().streams_refused.value(), 1U);
}

TEST_F(SwarmTest, WhereNothingIsKnownOfThePeerTheFirstReadTellsOfARefusal) {
  begin();
  auto [stream] = world.run(a->swarm.open_stream(b->peer(), "/nobody/1"));
  ASSERT_TRUE(stream) << stream.error();
  EXPECT_EQ(world.now(), TimePoint(200ms));
  std::array<std::uint8_t, 8> bytes;
  auto [read] = world.run((*stream)->read_some(bytes));
  EXPECT_EQ(read.error(), Errc::not_supported);
  EXPECT_EQ(world.now(), TimePoint(300ms));
}

TEST_F(SwarmTest, ConcurrentCallsJoinOneDial) {
  begin();
  auto [one, two, three] =
      world.run(connect(*a, b->peer()), ask(*a, b->peer(), "two"), connect(*a, b->peer()));
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ(one->id, three->id);
  EXPECT_EQ(a->swarm.metrics().dials.value(), 1U);
  EXPECT_EQ(a->swarm.connections().size(), 1U);
}

Task<> give_up_after(TestNode& node, PeerId peer, Duration patience) {
  auto connecting = connect(node, std::move(peer));
  PYRSIA_CO_TRY(co_await with_timeout(node.env, patience, std::move(connecting)));
  co_return ok;
}

TEST_F(SwarmTest, ADialEndsOnlyWhenAllWhoWaitForItHaveGone) {
  begin();
  auto [impatient, patient] =
      world.run(give_up_after(*a, b->peer(), 120ms), connect(*a, b->peer()));
  EXPECT_EQ(impatient.error(), Errc::timed_out);
  EXPECT_TRUE(patient);
  a->swarm.disconnect(b->peer());
  world.run_for(1s);
  auto [alone] = world.run(give_up_after(*a, b->peer(), 120ms));
  EXPECT_EQ(alone.error(), Errc::timed_out);
  world.run_for(1s);
  EXPECT_TRUE(a->swarm.connections().empty());
  EXPECT_EQ(host_a.connection_count(), 0U);
}

TEST_F(SwarmTest, SimultaneousDialsGiveTwoConnectionsAndBothAreKept) {
  begin();
  a->listen("/ip4/1.2.3.4/tcp/4001");
  b->knows(*a, {"/ip4/1.2.3.4/tcp/4002"});
  a->listen("/ip4/1.2.3.4/tcp/4002");
  auto [from_a, from_b] = world.run(connect(*a, b->peer()), connect(*b, a->peer()));
  ASSERT_TRUE(from_a) << from_a.error();
  ASSERT_TRUE(from_b) << from_b.error();
  world.run_for(1h);
  EXPECT_EQ(a->swarm.connections_to(b->peer()).size(), 2U);
  EXPECT_EQ(b->swarm.connections_to(a->peer()).size(), 2U);
  EXPECT_EQ(a->swarm.peer_count(), 1U);
  auto [at_a, at_b] = world.run(ask(*a, b->peer(), "x"), ask(*b, a->peer(), "y"));
  EXPECT_TRUE(at_a && at_b);
}

TEST_F(SwarmTest, SimultaneousDialsOnTheSamePortsDoNotHurt) {
  begin();
  a->listen("/ip4/1.2.3.4/tcp/4001");
  b->knows(*a, {"/ip4/1.2.3.4/tcp/4001"});
  // The SYNs cross: one TCP connection on which both are initiators and see garbage. Each tries
  // again from another port.
  auto [from_a, from_b] = world.run(connect(*a, b->peer()), connect(*b, a->peer()));
  EXPECT_TRUE(from_a) << from_a.error();
  EXPECT_TRUE(from_b) << from_b.error();
  EXPECT_EQ(a->swarm.metrics().dials.value(), 2U);
  EXPECT_LE(world.now(), TimePoint(1s));
  auto [at_a, at_b] = world.run(ask(*a, b->peer(), "x"), ask(*b, a->peer(), "y"));
  EXPECT_TRUE(at_a && at_b);
}

TEST_F(SwarmTest, NewStreamsTakeTheOldestConnectionThatIsOpen) {
  begin();
  std::vector<Multiaddr> came_from;
  b->swarm.handle("/which/1", ProtocolLimits(), [&](IncomingStream incoming) {
    came_from.push_back(incoming.connection.remote);
    return echo(std::move(incoming));
  });
  const auto ask_which = [&] {
    auto [stream] = world.run(a->swarm.open_stream(b->peer(), "/which/1"));
    ASSERT_TRUE(stream) << stream.error();
    auto [closed] = world.run((*stream)->close_write());
    EXPECT_TRUE(closed) << closed.error();
    world.run_for(1s);
  };
  auto [first] = world.run(connect(*a, b->peer()));
  const DialRequest fresh{.peer = b->peer(), .addresses = {}, .is_new_connection = true};
  auto [second] = world.run(a->swarm.connect(fresh));
  ASSERT_TRUE(first && second);
  ask_which();
  a->swarm.close_connection(first->id);
  ask_which();
  EXPECT_EQ(came_from, (std::vector{first->local, second->local}));
}

TEST_F(SwarmTest, ANewConnectionIsAddedOnlyOnDemand) {
  begin();
  auto [first] = world.run(connect(*a, b->peer()));
  auto [same] = world.run(connect(*a, b->peer()));
  DialRequest fresh{.peer = b->peer(), .addresses = {}, .is_new_connection = true};
  auto [other] = world.run(a->swarm.connect(fresh));
  ASSERT_TRUE(first && same && other);
  EXPECT_EQ(first->id, same->id);
  EXPECT_NE(first->id, other->id);
  a->swarm.close_connection(first->id);
  auto [answer] = world.run(ask(*a, b->peer(), "on the other"));
  EXPECT_TRUE(answer) << answer.error();
  EXPECT_EQ(a->swarm.metrics().dials.value(), 2U);
}

TEST_F(SwarmTest, AWrongPeerIsRefusedAndItsAddressForgotten) {
  begin();
  const auto other = test_key(3).peer_id();
  a->swarm.peer_store().add_addresses(other, {*Multiaddr::parse(kAddressOfB)},
                                      AddressSource::identify, world.now(), 1h);
  auto [connected] = world.run(connect(*a, other));
  EXPECT_EQ(connected.error(), Errc::wrong_peer);
  EXPECT_TRUE(a->swarm.peer_store().addresses(other, world.now()).empty());
  world.run_for(20s);
  EXPECT_TRUE(b->swarm.connections().empty());
}

TEST_F(SwarmTest, NobodyConnectsToItself) {
  begin();
  auto [by_id] = world.run(connect(*b, b->peer()));
  EXPECT_EQ(by_id.error(), Errc::invalid_argument);
  DialRequest own{.peer = a->peer(), .addresses = {*Multiaddr::parse(kAddressOfB)}};
  auto [by_address] = world.run(b->swarm.connect(own));
  EXPECT_EQ(by_address.error(), Errc::unavailable);
}

TEST_F(SwarmTest, WithoutAnAddressThereIsNothingToTry) {
  begin();
  auto [connected] = world.run(connect(*b, a->peer()));
  EXPECT_EQ(connected.error(), Errc::unavailable);
  DialRequest useless{.peer = a->peer(), .addresses = {}};
  for (const auto* text : {"/ip4/0.0.0.0/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/0",
                           "/ip6/fe80::1/tcp/1", "/ip4/224.0.0.1/tcp/1"})
    useless.addresses.push_back(*Multiaddr::parse(text));
  useless.addresses.push_back(Multiaddr::parse(kAddressOfB)->with_peer(b->peer()));
  auto [other] = world.run(b->swarm.connect(useless));
  EXPECT_EQ(other.error(), Errc::unavailable);
  EXPECT_EQ(b->swarm.metrics().dials.value(), 0U);
}

TEST_F(SwarmTest, AStoredAddressRestsAfterAFailureAndAGivenOneDoesNot) {
  begin();
  b->knows(*a, {"/ip4/1.2.3.4/tcp/9"});
  auto [first] = world.run(connect(*b, a->peer()));
  EXPECT_EQ(first.error(), Errc::refused);
  auto [second] = world.run(connect(*b, a->peer()));
  EXPECT_EQ(second.error(), Errc::unavailable);
  DialRequest given{.peer = a->peer(), .addresses = {*Multiaddr::parse("/ip4/1.2.3.4/tcp/9")}};
  auto [third] = world.run(b->swarm.connect(given));
  EXPECT_EQ(third.error(), Errc::refused);
  world.run_for(10s);
  auto [fourth] = world.run(connect(*b, a->peer()));
  EXPECT_EQ(fourth.error(), Errc::refused);
}

TEST_F(SwarmTest, TheFirstAddressThatAnswersWinsAndTheOthersAreDropped) {
  begin();
  b->listen("/ip6/2600::2/tcp/4001");
  host_b.set_addresses({"5.6.7.8"});  // The IPv6 address is silent.
  auto [connected] = world.run(
      a->swarm.connect(DialRequest{b->peer(), {*Multiaddr::parse("/ip6/2600::2/tcp/4001")}}));
  ASSERT_TRUE(connected) << connected.error();
  EXPECT_EQ(connected->remote.to_string(), kAddressOfB);
  EXPECT_EQ(world.now(), TimePoint(450ms));  // IPv6 had a head start of 250 ms.
  world.run_for(1s);
  EXPECT_EQ(host_a.connection_count(), 1U);
}

TEST_F(SwarmTest, TheErrorIsThatOfTheAddressThatCameClosest) {
  begin();
  DialRequest request{.peer = b->peer(), .addresses = {}, .is_only_these = true};
  request.addresses.push_back(*Multiaddr::parse("/ip4/5.6.7.8/tcp/9"));
  request.addresses.push_back(*Multiaddr::parse("/ip4/9.9.9.9/tcp/9"));
  auto [connected] = world.run(a->swarm.connect(request));
  EXPECT_EQ(connected.error(), Errc::refused);
  EXPECT_EQ(a->swarm.metrics().dials_failed.value(), 2U);
}

TEST_F(SwarmTest, ASilentHostCostsTheDialTimeoutAndNoMore) {
  begin();
  host_b.crash();
  auto [connected] = world.run(connect(*a, b->peer()));
  EXPECT_EQ(connected.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(15s));
}

TEST_F(SwarmTest, WhereNobodyAnswersAReachTimeoutIsTheEnd) {
  begin();
  host_b.crash();
  DialRequest request{.peer = b->peer(), .addresses = {}, .reach_timeout = 2s};
  auto [connected] = world.run(a->swarm.connect(request));
  EXPECT_EQ(connected.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(2s));
  EXPECT_EQ(a->swarm.metrics().dials_failed.value(), 1U);
}

TEST_F(SwarmTest, WhoHasAnsweredInTimeIsWaitedForLonger) {
  sim::PathConfig path;
  path.one_way_delay = 700ms;
  net.set_default_path(path);
  begin();
  DialRequest request{.peer = b->peer(), .addresses = {}, .reach_timeout = 2s};
  auto [connected] = world.run(a->swarm.connect(request));
  EXPECT_TRUE(connected) << connected.error();
  EXPECT_EQ(world.now(), TimePoint(2800ms));
}

TEST_F(SwarmTest, ALostDialIsRepeatedBesideTheFirst) {
  begin();
  net.partition({&host_a}, {&host_b});
  DialRequest request{.peer = b->peer(), .addresses = {}, .repeat_after = 300ms};
  std::optional<Result<ConnectionInfo>> connected;
  TaskGroup tasks(host_a);
  tasks.spawn(store(a->swarm.connect(request), connected));
  world.run_for(100ms);
  net.heal();
  world.run_for(400ms);
  ASSERT_TRUE(connected && *connected);
  EXPECT_EQ((*connected)->opened_at, TimePoint(500ms));
  world.run_for(1s);
  EXPECT_EQ(a->swarm.connections_to(b->peer()).size(), 1U);
  EXPECT_EQ(host_a.connection_count(), 1U);
}

TEST_F(SwarmTest, ALostDialIsRepeatedAsOftenAsAskedFor) {
  begin();
  net.partition({&host_a}, {&host_b});
  DialRequest request{.peer = b->peer(), .addresses = {}, .repeat_after = 300ms};
  request.max_repeats = 2;
  std::optional<Result<ConnectionInfo>> connected;
  TaskGroup tasks(host_a);
  tasks.spawn(store(a->swarm.connect(request), connected));
  world.run_for(500ms);
  net.heal();
  world.run_for(400ms);
  ASSERT_TRUE(connected && *connected);
  EXPECT_EQ((*connected)->opened_at, TimePoint(800ms));
}

TEST_F(SwarmTest, TheRoundTripIsMeasuredWhenSomebodyAsks) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  a->swarm.measure_round_trip(connected->id);
  EXPECT_FALSE(a->swarm.round_trip(connected->id));
  const auto measured_at = world.now() + 100ms;
  world.run_for(1s);
  EXPECT_EQ(a->swarm.round_trip(connected->id), Duration(100ms));
  EXPECT_EQ(a->swarm.round_trip_since(connected->id, measured_at), Duration(100ms));
  EXPECT_FALSE(a->swarm.round_trip_since(connected->id, measured_at + 1ns));
  a->swarm.close_connection(connected->id);
  world.run_for(1s);
  EXPECT_FALSE(a->swarm.round_trip(connected->id));
}

TEST_F(SwarmTest, ACrashedPeerIsNoticedByTheKeepAlive) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  world.run_for(1s);
  host_b.crash();
  world.run_for(70s);
  EXPECT_FALSE(a->swarm.is_connected(b->peer()));
  ASSERT_EQ(a->heard.reasons.size(), 1U);
  EXPECT_EQ(a->heard.reasons[0], Errc::timed_out);
}

TEST_F(SwarmTest, AnIdleConnectionIsKept) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  world.run_for(3h);
  EXPECT_TRUE(a->swarm.is_connected(b->peer()));
  EXPECT_TRUE(b->swarm.is_connected(a->peer()));
}

TEST_F(SwarmTest, DisconnectSaysGoodbye) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  world.run_for(1s);
  a->swarm.disconnect(b->peer());
  EXPECT_FALSE(a->swarm.is_connected(b->peer()));
  world.run_for(1s);
  EXPECT_FALSE(b->swarm.is_connected(a->peer()));
  ASSERT_EQ(b->heard.reasons.size(), 1U);
  EXPECT_EQ(b->heard.reasons[0], Errc::closed);
  EXPECT_EQ(host_b.connection_count(), 0U);
  auto [again] = world.run(ask(*a, b->peer(), "again"));
  EXPECT_TRUE(again) << again.error();
}

TEST_F(SwarmTest, AStreamOnAConnectionThatHasGoneIsClosed) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  a->swarm.close_connection(connected->id);
  auto [stream] = world.run(a->swarm.open_stream_on(connected->id, "/echo/1"));
  EXPECT_EQ(stream.error(), Errc::closed);
}

TEST_F(SwarmTest, UnspecifiedListenAddressesBecomeThoseOfTheInterfaces) {
  begin();
  b->listen("/ip6/::/tcp/4001");
  b->listen("/ip4/0.0.0.0/tcp/4002");
  world.run_for(10ms);
  const auto changes = b->heard.address_changes;
  EXPECT_GT(changes, 0);
  const auto has = [&](const char* text) {
    const auto all = b->swarm.listen_addresses();
    return std::ranges::find(all, *Multiaddr::parse(text)) != all.end();
  };
  EXPECT_TRUE(has("/ip4/5.6.7.8/tcp/4002"));
  host_b.set_addresses({"5.6.7.9"});
  world.run_for(6s);
  EXPECT_EQ(b->heard.address_changes, changes + 1);
  EXPECT_TRUE(has("/ip4/5.6.7.9/tcp/4002"));
  EXPECT_FALSE(has("/ip4/5.6.7.8/tcp/4002"));
}

TEST_F(SwarmTest, ListeningTwiceOrOnWhatIsNotTcpFails) {
  begin();
  EXPECT_EQ(b->swarm.listen(*Multiaddr::parse(kAddressOfB)).error(), Errc::address_in_use);
  EXPECT_EQ(b->swarm.listen(*Multiaddr::parse("/ip4/5.6.7.8/udp/1/quic-v1")).error(),
            Errc::not_supported);
}

TEST_F(SwarmTest, AfterItsStopNothingWorksAndNothingBreaks) {
  begin();
  auto [connected] = world.run(connect(*a, b->peer()));
  auto [stopped] = world.run(a->swarm.stop());
  EXPECT_TRUE(stopped);
  EXPECT_EQ(a->heard.disconnected.size(), 1U);
  auto [again] = world.run(connect(*a, b->peer()));
  EXPECT_EQ(again.error(), Errc::closed);
  EXPECT_EQ(a->swarm.listen(*Multiaddr::parse("/ip4/1.2.3.4/tcp/1")).error(), Errc::closed);
  auto [twice] = world.run(a->swarm.stop());
  EXPECT_TRUE(twice);
}

}  // namespace
}  // namespace pyrsia::swarm

#include "runtime/task_group.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/swarm.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

constexpr auto kAddressOfB = "/ip4/5.6.7.8/tcp/4001";
constexpr auto kNameOfB = "/dns4/b.example.org/tcp/4001";

struct Pair {
  Pair() {
    sim::PathConfig path;
    path.one_way_delay = 10ms;
    net.set_default_path(path);
    net.dns().add("b.example.org", {"5.6.7.8"});
    net.dns().set_delay(5ms);
    world.set_run_limit(10min);
  }
  ~Pair() {
    auto [a_stopped, b_stopped] = world.run(a.swarm.stop(), b.swarm.stop());
    EXPECT_TRUE(a_stopped && b_stopped) << world.deadlock_report();
    EXPECT_EQ(host_a.connection_count(), 0U);
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host_a = net.add_host({"a", {"1.2.3.4"}, nullptr, 0ms});
  sim::SimHost& host_b = net.add_host({"b", {"5.6.7.8"}, nullptr, 0ms});
  TestNode a{host_a, 1};
  TestNode b{host_b, 2};
};

// Break the network at each operation in turn, until none is left.
TEST(SwarmSweep, ConnectAndAskEndCleanlyWhereverTheNetworkBreaks) {
  for (std::uint64_t number = 0;; ++number) {
    SCOPED_TRACE(number);
    ASSERT_LT(number, 500U);
    Pair pair;
    pair.net.fail_operation(number);
    const auto bound = pair.b.swarm.listen(*Multiaddr::parse(kAddressOfB));
    pair.a.knows(pair.b, {kNameOfB});
    auto [answer] = pair.world.run(ask(pair.a, pair.b.peer(), "question"));
    EXPECT_NE(answer ? Error() : answer.error(), Errc::deadlock) << pair.world.deadlock_report();
    pair.world.run_for(1s);
    if (!answer && bound) {
      // What broke was one connection, not the swarm.
      const DialRequest again{pair.b.peer(), {*Multiaddr::parse(kAddressOfB)}};
      auto [connected] = pair.world.run(pair.a.swarm.connect(again));
      EXPECT_TRUE(connected) << connected.error();
      auto [second] = pair.world.run(ask(pair.a, pair.b.peer(), "question"));
      EXPECT_TRUE(second) << second.error();
    }
    if (answer && number >= pair.net.operation_count()) break;
  }
}

Task<> ask_and_forget(TestNode& from, PeerId to) {
  // Many ways of being in flight: joined dials, streams, a dial of its own.
  const auto answer = co_await ask(from, std::move(to), "question");
  (void)answer;
  co_return ok;
}

Task<> dial_and_forget(TestNode& from, DialRequest request) {
  const auto connected = co_await from.swarm.connect(std::move(request));
  (void)connected;
  co_return ok;
}

Task<> crossing(Pair& pair) {
  TaskGroup group(pair.host_a);
  group.spawn(ask_and_forget(pair.a, pair.b.peer()));
  group.spawn(ask_and_forget(pair.a, pair.b.peer()));
  group.spawn(ask_and_forget(pair.b, pair.a.peer()));
  DialRequest fresh{.peer = pair.b.peer(), .addresses = {}, .is_new_connection = true};
  group.spawn(dial_and_forget(pair.a, fresh));
  DialRequest silent{.peer = test_key(9).peer_id(), .addresses = {}};
  silent.addresses.push_back(*Multiaddr::parse("/ip4/9.9.9.9/tcp/1"));
  group.spawn(dial_and_forget(pair.a, silent));
  co_return co_await group.join();
}

Task<> stop_after(Pair& pair, Duration delay) {
  PYRSIA_CO_TRY(co_await pair.host_a.sleep_for(delay));
  co_return co_await pair.a.swarm.stop();
}

TEST(SwarmSweep, StopEndsInBoundedTimeWhateverIsInFlight) {
  for (auto delay = Duration(0); delay <= 130ms; delay += 1ms) {
    SCOPED_TRACE(delay / 1ms);
    Pair pair;
    pair.net.add_host({"mute", {"9.9.9.9"}, nullptr, 0ms}).crash();
    pair.b.listen(kAddressOfB);
    pair.a.listen("/ip4/1.2.3.4/tcp/4001");
    pair.a.knows(pair.b, {kNameOfB});
    pair.b.knows(pair.a, {"/ip4/1.2.3.4/tcp/4001"});
    TaskGroup group(pair.host_a);
    group.spawn(crossing(pair));
    auto [stopped] = pair.world.run(stop_after(pair, delay));
    EXPECT_TRUE(stopped) << pair.world.deadlock_report();
    EXPECT_LE(pair.world.now(), TimePoint(delay + 300ms));
    EXPECT_TRUE(pair.a.swarm.connections().empty());
    auto [joined] = pair.world.run(group.join());
    EXPECT_TRUE(joined);
    EXPECT_EQ(pair.a.heard.connected.size(), pair.a.heard.disconnected.size());
  }
}

TEST(SwarmSweep, ACallerWhoIsCancelledAtAnyTimeLeavesNothingBehind) {
  for (auto delay = Duration(0); delay <= 130ms; delay += 1ms) {
    SCOPED_TRACE(delay / 1ms);
    Pair pair;
    pair.b.listen(kAddressOfB);
    pair.a.knows(pair.b, {kNameOfB});
    TaskGroup group(pair.host_a);
    group.spawn(ask_and_forget(pair.a, pair.b.peer()));
    pair.world.run_for(delay);
    group.cancel();
    auto [joined] = pair.world.run(group.join());
    EXPECT_TRUE(joined);
    EXPECT_LE(pair.world.now(), TimePoint(delay + 1ms));
    auto [answer] = pair.world.run(ask(pair.a, pair.b.peer(), "after"));
    EXPECT_TRUE(answer) << answer.error();
  }
}

}  // namespace
}  // namespace pyrsia::swarm

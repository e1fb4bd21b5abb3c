// The main job: a node fetches /status, connects, is probed and knows its NAT status.
#include "sim_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;
using sim::PortAllocation;

constexpr auto kBootIp = "1.2.3.10";
const std::string kUrl = "http://boot.pyrsia.test:7888/status";

struct Setting {
  explicit Setting(std::uint64_t seed = 1) : world(seed), network(world) {
    network.set_default_path({.one_way_delay = 25ms});
    world.set_run_limit(10min);  // A hang is found soon.
    network.dns().add("boot.pyrsia.test", {kBootIp});
    boot.emplace(network.add_host({.name = "boot", .addresses = {kBootIp}}), 1, boot_config());
  }

  Task<> join(SimNode& node, Reachability expected, Duration limit) {
    PYRSIA_CO_TRY(co_await boot->start());
    PYRSIA_CO_TRY(co_await node.start());
    started_at = world.now();
    auto judged = co_await node.wait_for(expected, limit);
    took = world.now() - started_at;
    PYRSIA_CO_TRY(co_await node.stop());
    PYRSIA_CO_TRY(co_await boot->stop());
    co_return judged;
  }

  sim::World world;
  sim::Network network;
  std::optional<SimNode> boot;
  TimePoint started_at;
  Duration took{0};
};

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

sim::NatConfig home_router(Dependence mapping, Dependence filtering, PortAllocation allocation) {
  sim::NatConfig config;
  config.external = {ip("5.6.7.8")};
  config.mapping = mapping;
  config.filtering = filtering;
  config.allocation = allocation;
  return config;
}

TEST(MainJob, APublicNodeKnowsItInUnderASecondAt50Milliseconds) {
  Setting setting;
  auto& machine = setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}});
  SimNode node(machine, 2, node_config(kUrl));

  auto [judged] = setting.world.run(setting.join(node, Reachability::reachable, 30s));

  EXPECT_TRUE(judged) << judged.error();
  EXPECT_LT(setting.took, 1s);
  EXPECT_EQ(node.status_changes(), 1U);
  EXPECT_NE(node.host().nat().reason, "");
}

struct Kind {
  const char* name;
  sim::NatConfig router;
  Reachability expected;
};

std::vector<Kind> kinds() {
  const auto ei = Dependence::endpoint_independent;
  const auto adp = Dependence::address_and_port_dependent;
  auto forwarding = home_router(ei, adp, PortAllocation::preserve);
  forwarding.forwards = {
      {.external_port = SimNode::kPort, .inner = {ip("192.168.1.2"), SimNode::kPort}}};
  auto refusing = home_router(ei, adp, PortAllocation::preserve);
  refusing.refuses_tcp = true;
  return {
      {"full cone", home_router(ei, ei, PortAllocation::preserve), Reachability::reachable},
      {"full cone, other ports", home_router(ei, ei, PortAllocation::random),
       Reachability::reachable},
      {"port-restricted", home_router(ei, adp, PortAllocation::preserve),
       Reachability::unreachable},
      {"port-restricted, answers RST", refusing, Reachability::unreachable},
      {"symmetric", home_router(adp, adp, PortAllocation::random), Reachability::unreachable},
      {"symmetric, sequential", home_router(adp, adp, PortAllocation::sequential),
       Reachability::unreachable},
      {"port forward", forwarding, Reachability::reachable},
  };
}

TEST(MainJob, TheVerdictIsRightBehindEveryKindOfNat) {
  for (const auto& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    Setting setting;
    auto& router = setting.network.add_nat(kind.router);
    auto& machine =
        setting.network.add_host({.name = "node", .addresses = {"192.168.1.2"}, .behind = &router});
    SimNode node(machine, 2, node_config(kUrl));

    auto [judged] = setting.world.run(setting.join(node, kind.expected, 30s));

    EXPECT_TRUE(judged) << judged.error() << " " << node.host().nat().reason;
    EXPECT_EQ(node.status_changes(), 1U);
  }
}

TEST(MainJob, AFirewallWithoutNatIsSeen) {
  Setting setting;
  sim::NatConfig firewall;
  auto& router = setting.network.add_nat(firewall);
  auto& machine =
      setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}, .behind = &router});
  SimNode node(machine, 2, node_config(kUrl));

  auto [judged] = setting.world.run(setting.join(node, Reachability::unreachable, 30s));

  EXPECT_TRUE(judged) << judged.error();
}

TEST(MainJob, AnInnerPortForwardDoesNotHelpBehindASecondNat) {
  Setting setting;
  const auto ei = Dependence::endpoint_independent;
  const auto adp = Dependence::address_and_port_dependent;
  auto& carrier = setting.network.add_nat(home_router(ei, adp, PortAllocation::preserve));
  auto inner = home_router(ei, adp, PortAllocation::preserve);
  inner.external = {ip("100.64.0.2")};
  inner.forwards = {
      {.external_port = SimNode::kPort, .inner = {ip("192.168.1.2"), SimNode::kPort}}};
  auto& router = setting.network.add_nat(inner, &carrier);
  auto& machine =
      setting.network.add_host({.name = "node", .addresses = {"192.168.1.2"}, .behind = &router});
  SimNode node(machine, 2, node_config(kUrl));

  auto [judged] = setting.world.run(setting.join(node, Reachability::unreachable, 30s));

  EXPECT_TRUE(judged) << judged.error();
}

TEST(MainJob, TheNodeIsFullyConnectedOnceTheBootServerAsksForAProbe) {
  Setting setting;
  auto& machine = setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}});
  SimNode node(machine, 2, node_config(kUrl));

  auto [started, node_started] = setting.world.run(setting.boot->start(), node.start());
  auto [connected] = setting.world.run(node.wait_until_connected(60s));
  auto [stopped, boot_stopped] = setting.world.run(node.stop(), setting.boot->stop());

  EXPECT_TRUE(started && node_started && stopped && boot_stopped);
  EXPECT_TRUE(connected) << connected.error();
  EXPECT_TRUE(std::ranges::any_of(node.events(), [](const HostEvent& event) {
    return std::holds_alternative<Connected>(event);
  }));
}

TEST(MainJob, ANodeJoinsAgainWhenItsBootServerComesBack) {
  Setting setting;
  auto& machine = setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}});
  SimNode node(machine, 2, node_config(kUrl));
  setting.world.run(setting.boot->start(), node.start());
  setting.world.run_for(10s);
  ASSERT_EQ(node.host().peers().size(), 1U);

  setting.world.run(setting.boot->stop());
  setting.world.run_for(60s);
  EXPECT_EQ(node.host().peers().size(), 0U);
  SimNode again(setting.boot->machine(), 1, boot_config());
  setting.world.run(again.start());
  setting.world.run_for(10min);

  EXPECT_EQ(node.host().peers().size(), 1U);
  setting.world.run(node.stop(), again.stop());
}

TEST(MainJob, StopsCleanlyAtAnyMoment) {
  for (auto stop_at = 0ms; stop_at <= 1500ms; stop_at += 25ms) {
    SCOPED_TRACE(stop_at.count());
    Setting setting;
    auto& machine = setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}});
    SimNode node(machine, 2, node_config(kUrl));
    setting.world.run(setting.boot->start(), node.start());
    setting.world.run_for(stop_at);
    const auto asked_at = setting.world.now();

    auto [stopped] = setting.world.run(node.stop());

    ASSERT_TRUE(stopped) << setting.world.deadlock_report();
    EXPECT_LT(setting.world.now() - asked_at, 2s);
    setting.world.run(setting.boot->stop());
  }
}

// Break every network operation of the main job in turn: the node still gets its verdict.
TEST(MainJob, SurvivesABreakAtEveryOperation) {
  for (std::uint64_t broken = 0;; ++broken) {
    SCOPED_TRACE(broken);
    Setting setting;
    setting.network.fail_operation(broken);
    auto& machine = setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}});
    SimNode node(machine, 2, node_config(kUrl));
    auto [boot_started] = setting.world.run(setting.boot->start());
    auto [started] = setting.world.run(node.start());
    if (boot_started && started) {  // The first operations are the listeners'.
      auto [judged] = setting.world.run(node.wait_for(Reachability::reachable, 5min));
      EXPECT_TRUE(judged) << judged.error() << " " << node.host().nat().reason;
    }
    const bool is_past_the_end = broken >= setting.network.operation_count();
    setting.world.run(node.stop(), setting.boot->stop());
    if (is_past_the_end) {
      EXPECT_GT(broken, 30U);
      break;
    }
    ASSERT_LT(broken, 1000U);
  }
}

}  // namespace
}  // namespace pyrsia::test

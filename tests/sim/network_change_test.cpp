// A machine whose network changes, or that was asleep.
#include "sim_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;

const auto kBootAddress =
    Multiaddr::tcp({*IpAddress::parse("1.2.3.10"), SimNode::kPort}).with_peer(key_of(1).peer_id());

struct NetworkChange : testing::Test {
  NetworkChange() {
    world.set_run_limit(10min);
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    network.set_default_path(path);
    Config config;
    config.listen = {Multiaddr::tcp({IpAddress::v4_any(), SimNode::kPort})};
    config.peers = {kBootAddress};
    config.evidence_sink = [this](const std::string& line) { evidence.push_back(line); };
    node.emplace(machine, 2, config);
    auto [boot_started, started] = world.run(boot.start(), node->start());
    EXPECT_TRUE(boot_started && started);
    world.run_for(60s);
    EXPECT_EQ(node->host().nat().status, Reachability::reachable);
  }
  ~NetworkChange() override {
    auto [stopped, boot_stopped] = world.run(node->stop(), boot.stop());
    EXPECT_TRUE(stopped && boot_stopped);
  }
  bool is_recorded(const std::string& part) const {
    return std::ranges::any_of(
        evidence, [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }

  sim::World world;
  sim::Network network{world};
  SimNode boot{network.add_host({"boot", {"1.2.3.10"}}), 1, boot_config()};
  sim::SimHost& machine = network.add_host({"node", {"5.6.7.9"}});
  std::vector<std::string> evidence;
  std::optional<SimNode> node;
};

TEST_F(NetworkChange, AnotherAddressIsActedOnInLessThanASecond) {
  machine.set_addresses({"5.6.8.8"});
  world.run_for(300ms);
  const auto listening = node->host().listen_addresses();
  ASSERT_EQ(listening.size(), 2U);  // Loopback as well.
  EXPECT_TRUE(std::ranges::any_of(listening, [](const Multiaddr& address) {
    return address.ip() == *IpAddress::parse("5.6.8.8");
  }));
  for (const auto& one : node->host().nat().addresses)
    EXPECT_EQ(one.address.ip(), *IpAddress::parse("5.6.8.8"));
  world.run_for(5s - 300ms);  // It must join again first.
  EXPECT_EQ(node->host().nat().status, Reachability::reachable) << node->host().nat().reason;
}

TEST_F(NetworkChange, ManyChangesAtOnceAreOne) {
  const auto before = std::ranges::count_if(
      evidence, [](const std::string& line) { return line.find(" doubt ") != line.npos; });
  for (int i = 0; i < 100; ++i) machine.announce_network_change();
  world.run_for(1s);
  const auto after = std::ranges::count_if(
      evidence, [](const std::string& line) { return line.find(" doubt ") != line.npos; });
  EXPECT_LE(after - before, 2);
  EXPECT_GE(after - before, 1);
}

TEST_F(NetworkChange, SleepIsNoticedAndACalendarThatGoesBackIsNot) {
  machine.set_wall_offset(-24h);
  world.run_for(3s);
  EXPECT_FALSE(is_recorded("asleep"));
  machine.set_wall_offset(8h);
  world.run_for(3s);
  EXPECT_TRUE(is_recorded("asleep"));
  EXPECT_EQ(node->host().nat().status, Reachability::reachable);
  EXPECT_EQ(node->status_changes(), 1U);
}

}  // namespace
}  // namespace pyrsia::test

// A machine whose network changes, or that was asleep.
#include "nat/portmap/fake_router.hpp"
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

TEST_F(NetworkChange, AWatcherThatFailsIsReplaced) {
  machine.set_watchable(false);
  world.run_for(10min);
  machine.set_watchable(true);
  world.run_for(2min);
  machine.set_addresses({"5.6.8.8"});
  world.run_for(300ms);
  const auto listening = node->host().listen_addresses();
  EXPECT_TRUE(std::ranges::any_of(listening, [](const Multiaddr& address) {
    return address.ip() == *IpAddress::parse("5.6.8.8");
  }));
}

TEST_F(NetworkChange, WhatHappenedWhileNobodyWatchedIsLookedAt) {
  machine.set_watchable(false);
  world.run_for(1min);
  const auto count = [this] {
    return std::ranges::count_if(
        evidence, [](const std::string& line) { return line.find(" doubt ") != line.npos; });
  };
  const auto before = count();
  machine.set_watchable(true);
  world.run_for(2min);
  EXPECT_EQ(count(), before + 1);
}

TEST_F(NetworkChange, SleepIsNoticedAndACalendarThatGoesBackIsNot) {
  machine.set_wall_offset(-24h);
  world.run_for(3s);
  EXPECT_FALSE(is_recorded("asleep"));
  machine.sleep(1s);
  world.run_for(1s);
  EXPECT_TRUE(is_recorded("asleep"));
  EXPECT_FALSE(is_recorded("calendar"));
  machine.set_wall_offset(8h);
  world.run_for(3s);
  EXPECT_TRUE(is_recorded("calendar"));
  EXPECT_EQ(node->host().nat().status, Reachability::reachable);
  EXPECT_EQ(node->status_changes(), 1U);
}

/// A network that has IPv6 only, and a resolver that does not answer.
TEST(NetworkChangeOverIpv6, ASilentResolverHoldsNothingUp) {
  sim::World world;
  sim::Network network{world};
  network.dns().set_delay(1min);
  auto& machine = network.add_host({"node", {"2600::1"}});
  Config config;
  config.listen = {Multiaddr::tcp({IpAddress::v6_any(), SimNode::kPort})};
  SimNode node(machine, 2, config);
  auto [started] = world.run(node.start());
  ASSERT_TRUE(started);
  world.run_for(60s);
  for (const auto* address : {"2600::2", "2600::3"}) {
    machine.set_addresses({address});
    world.run_for(300ms);
    const auto listening = node.host().listen_addresses();
    EXPECT_TRUE(std::ranges::any_of(listening, [&](const Multiaddr& each) {
      return each.ip() == *IpAddress::parse(address);
    })) << address;
  }
  auto [stopped] = world.run(node.stop());
  EXPECT_TRUE(stopped);
}

/// A laptop at home, whose system tells nobody of changes: three boot servers, and a router that
/// maps its port.
struct Waking : testing::Test {
  Waking() {
    world.set_run_limit(10min);
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    network.set_default_path(path);
    laptop.set_gateways({"192.168.1.1"});
    laptop.set_watchable(false);
    EXPECT_TRUE(router.start());
    Config config;
    config.listen = {Multiaddr::tcp({IpAddress::v4_any(), SimNode::kPort})};
    std::uint8_t number = 1;
    for (const auto* ip : {"1.2.3.10", "9.8.7.1", "80.1.1.1"}) {
      auto& boot = *boots.emplace_back(
          std::make_unique<SimNode>(network.add_host({ip, {ip}}), number, boot_config()));
      auto [started] = world.run(boot.start());
      EXPECT_TRUE(started);
      config.peers.push_back(Multiaddr::tcp({*IpAddress::parse(ip), SimNode::kPort})
                                 .with_peer(key_of(number++).peer_id()));
    }
    node.emplace(laptop, 9, config);
    auto [started] = world.run(node->start());
    EXPECT_TRUE(started);
    world.run_for(60s);
    EXPECT_EQ(node->host().nat().status, Reachability::reachable) << node->host().nat().reason;
  }
  ~Waking() override {
    auto [stopped] = world.run(node->stop());
    EXPECT_TRUE(stopped);
    for (auto& boot : boots) world.run(boot->stop());
    world.run(router.stop());
  }
  /// Every address of ours that has a verdict was asked about since.
  bool is_all_younger_than(Duration age) {
    const auto addresses = node->host().nat().addresses;
    return !addresses.empty() && std::ranges::all_of(addresses, [&](const AddressVerdict& one) {
      return one.status != Reachability::unknown && one.age < age;
    });
  }
  bool is_listening_on(const char* ip) {
    return std::ranges::any_of(node->host().listen_addresses(), [&](const Multiaddr& address) {
      return address.ip() == *IpAddress::parse(ip);
    });
  }
  void forward(const portmap::FakeRouter::Key& key, const std::optional<Endpoint>& internal) {
    const auto is_tcp = key.first == portmap::Transport::tcp;
    const auto protocol = is_tcp ? sim::Protocol::tcp : sim::Protocol::udp;
    nat.table().remove_forward(protocol, key.second);
    if (internal) nat.table().add_forward({protocol, key.second, *internal});
  }
  static sim::NatConfig nat_config() {
    sim::NatConfig config;
    config.external = {*IpAddress::parse("73.1.2.3")};
    return config;
  }

  sim::World world;
  sim::Network network{world};
  sim::SimNat& nat = network.add_nat(nat_config());
  sim::SimHost& laptop =
      network.add_host({.name = "laptop", .addresses = {"192.168.1.2"}, .behind = &nat});
  sim::SimHost& box =
      network.add_host({.name = "router", .addresses = {"192.168.1.1"}, .behind = &nat});
  portmap::FakeRouter router{
      box, *IpAddress::parse("192.168.1.1"), *IpAddress::parse("73.1.2.3"),
      [this](const auto& key, const auto& internal) { forward(key, internal); }};
  std::vector<std::unique_ptr<SimNode>> boots;
  std::optional<SimNode> node;
};

TEST_F(Waking, VerdictsAreAskedForAgainInLessThanTwoSeconds) {
  for (int i = 0; i < 60 && is_all_younger_than(3s); ++i) world.run_for(1s);
  ASSERT_FALSE(is_all_younger_than(3s));
  laptop.sleep(1s);
  world.run_for(2s);
  EXPECT_TRUE(is_all_younger_than(2s));
  EXPECT_EQ(node->host().nat().status, Reachability::reachable) << node->host().nat().reason;
}

TEST_F(Waking, MappingsAreThereAgainInLessThanTwoSeconds) {
  laptop.sleep(1s);
  box.sleep(1s);
  router.restart();
  ASSERT_TRUE(router.table.empty());
  world.run_for(2s);
  EXPECT_EQ(router.table.size(), 1U);
}

TEST_F(Waking, AddressesAreLookedAtInLessThanTwoSeconds) {
  // Those who are awake look every five seconds.
  laptop.set_addresses({"192.168.1.7"});
  for (int i = 0; i < 100 && !is_listening_on("192.168.1.7"); ++i) world.run_for(100ms);
  ASSERT_TRUE(is_listening_on("192.168.1.7"));
  laptop.set_addresses({"192.168.1.8"});
  laptop.sleep(1s);
  world.run_for(2s);
  EXPECT_TRUE(is_listening_on("192.168.1.8"));
}

}  // namespace
}  // namespace pyrsia::test

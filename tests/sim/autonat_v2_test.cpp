// AutoNAT v2 between whole hosts: a node, its boot server, and a sibling of that.
#include "sim_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;

constexpr auto kBootIp = "1.2.3.10";
constexpr auto kSiblingIp = "1.2.4.10";
const std::string kUrl = "http://boot.pyrsia.test:7888/status";

Multiaddr member(const std::string& ip, std::uint8_t number) {
  const auto at = "/ip4/" + ip + "/tcp/" + std::to_string(SimNode::kPort);
  return Multiaddr::parse(at)->with_peer(key_of(number).peer_id());
}

struct Setting {
  explicit Setting(bool has_sibling) : network(world) {
    network.set_default_path({.one_way_delay = 25ms});
    world.set_run_limit(10min);
    network.dns().add("boot.pyrsia.test", {kBootIp});
    auto config = boot_config();
    if (has_sibling) {
      config.siblings = {member(kSiblingIp, 3)};
      auto other = boot_config();
      other.siblings = {member(kBootIp, 1)};
      sibling.emplace(network.add_host({.name = "sibling", .addresses = {kSiblingIp}}), 3, other);
      auto [started] = world.run(sibling->start());
      EXPECT_TRUE(started);
    }
    boot.emplace(network.add_host({.name = "boot", .addresses = {kBootIp}}), 1, config);
    auto [started] = world.run(boot->start());
    EXPECT_TRUE(started);
    world.run_for(10s);  // The siblings have found each other.
  }
  ~Setting() {
    for (auto* each : {&node, &boot, &sibling}) {
      if (!*each) continue;
      auto [stopped] = world.run((*each)->stop());
      EXPECT_TRUE(stopped);
    }
  }
  void start_node(sim::SimHost& machine) { start_node(machine, node_config(kUrl)); }
  void start_node(sim::SimHost& machine, Config config) {
    node.emplace(machine, 2, std::move(config));
    auto [started] = world.run(node->start());
    EXPECT_TRUE(started);
  }
  void start_node_behind(Dependence filtering) {
    sim::NatConfig config;
    config.external = {*IpAddress::parse("5.6.7.8")};
    config.filtering = filtering;
    auto& nat = network.add_nat(config);
    start_node(network.add_host({.name = "node", .addresses = {"192.168.1.2"}, .behind = &nat}));
  }
  static std::uint64_t counter(std::optional<SimNode>& of, const std::string& name) {
    return of->host().counters().at("pyrsia_" + name + "_total");
  }

  sim::World world;
  sim::Network network;
  std::optional<SimNode> sibling;
  std::optional<SimNode> boot;
  std::optional<SimNode> node;
};

TEST(AutonatV2, APublicNodeHasItsFirstAnswerInUnderASecondAt50Milliseconds) {
  Setting setting(false);
  setting.start_node(setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}}));
  setting.world.run_for(1s);
  EXPECT_EQ(Setting::counter(setting.node, "autonat_v2_client_reachable"), 1U);
  EXPECT_EQ(setting.node->host().nat().status, Reachability::reachable);
}

TEST(AutonatV2, WithoutASiblingAnAddressRestrictedNatLooksOpen) {
  Setting setting(false);
  setting.start_node_behind(Dependence::address_dependent);
  setting.world.run_for(10s);
  EXPECT_EQ(Setting::counter(setting.node, "autonat_v2_client_reachable"), 1U);
}

TEST(AutonatV2, WithASiblingAnAddressRestrictedNatIsSeen) {
  Setting setting(true);
  setting.start_node_behind(Dependence::address_dependent);
  setting.world.run_for(10s);
  EXPECT_EQ(Setting::counter(setting.node, "autonat_v2_client_reachable"), 0U);
  EXPECT_EQ(Setting::counter(setting.node, "autonat_v2_client_unreachable"), 1U);
  EXPECT_EQ(Setting::counter(setting.boot, "autonat_v2_server_dials_by_sibling"), 1U);
  // It dialed the node in vain, then the boot server, to show that it can dial.
  EXPECT_EQ(Setting::counter(setting.sibling, "siblings_helped"), 2U);
  EXPECT_EQ(Setting::counter(setting.boot, "siblings_checks"), 1U);
}

TEST(AutonatV2, WithASiblingAFullConeIsStillOpen) {
  Setting setting(true);
  setting.start_node_behind(Dependence::endpoint_independent);
  setting.world.run_for(10s);
  EXPECT_EQ(Setting::counter(setting.node, "autonat_v2_client_reachable"), 1U);
  EXPECT_EQ(Setting::counter(setting.sibling, "siblings_helped"), 1U);
}

/// A cluster of four, of whom a node knows three, and the node, behind a NAT that forwards a port
/// of one kind at most; all listen by TCP and QUIC.
struct BothKinds {
  explicit BothKinds(std::optional<sim::Protocol> forwarded) : network(world) {
    network.set_default_path({.one_way_delay = 25ms});
    world.set_run_limit(10min);
    for (std::uint8_t number = 1; number <= 4; ++number) add_server(number);
    world.run_for(10s);  // They find each other.
    Config config;
    config.listen = listen_by_both();
    for (std::uint8_t number = 1; number <= 3; ++number)
      config.peers.push_back(member(ip_of(number), number));  // QUIC is found by identify.
    sim::NatConfig box;
    box.external = {*IpAddress::parse("5.6.7.8")};
    const Endpoint inside{*IpAddress::parse("192.168.1.2"), SimNode::kPort};
    if (forwarded) box.forwards = {{*forwarded, SimNode::kPort, inside}};
    auto& nat = network.add_nat(box);
    auto& machine =
        network.add_host({.name = "node", .addresses = {"192.168.1.2"}, .behind = &nat});
    node = std::make_unique<SimNode>(machine, 9, config);
    start(*node);
    world.run_for(15s);
  }
  ~BothKinds() {
    stop(*node);
    for (const auto& server : servers) stop(*server);
  }
  static std::string ip_of(std::uint8_t number) { return "1.2." + std::to_string(number) + ".10"; }
  void add_server(std::uint8_t number) {
    auto config = boot_config();
    config.listen = listen_by_both();
    for (std::uint8_t other = 1; other <= 4; ++other)
      if (other != number) config.siblings.push_back(member(ip_of(other), other));
    auto& machine = network.add_host({.name = ip_of(number), .addresses = {ip_of(number)}});
    servers.push_back(std::make_unique<SimNode>(machine, number, config));
    start(*servers.back());
  }
  void start(SimNode& one) {
    auto [started] = world.run(one.start());
    EXPECT_TRUE(started);
  }
  void stop(SimNode& one) {
    auto [stopped] = world.run(one.stop());
    EXPECT_TRUE(stopped);
  }
  Reachability status_of(const std::string& address) {
    for (const auto& each : node->host().nat().addresses)
      if (each.address == *Multiaddr::parse(address)) return each.status;
    return Reachability::unknown;
  }

  sim::World world;
  sim::Network network;
  std::vector<std::unique_ptr<SimNode>> servers;
  std::unique_ptr<SimNode> node;
};

constexpr auto kByTcp = "/ip4/5.6.7.8/tcp/44000";
constexpr auto kByQuic = "/ip4/5.6.7.8/udp/44000/quic-v1";

TEST(AutonatV2, ANodeThatCanBeReachedByTcpAloneIsReachable) {
  BothKinds setting(sim::Protocol::tcp);
  EXPECT_EQ(setting.status_of(kByTcp), Reachability::reachable);
  EXPECT_EQ(setting.status_of(kByQuic), Reachability::unreachable);
  const auto nat = setting.node->host().nat();
  EXPECT_EQ(nat.status, Reachability::reachable) << nat.reason;
  EXPECT_NE(nat.reason.find(kByTcp), std::string::npos) << nat.reason;
}

TEST(AutonatV2, ANodeThatCanBeReachedByQuicAloneIsReachable) {
  BothKinds setting(sim::Protocol::udp);
  EXPECT_EQ(setting.status_of(kByTcp), Reachability::unreachable);
  EXPECT_EQ(setting.status_of(kByQuic), Reachability::reachable);
  const auto nat = setting.node->host().nat();
  EXPECT_EQ(nat.status, Reachability::reachable) << nat.reason;
  EXPECT_NE(nat.reason.find(kByQuic), std::string::npos) << nat.reason;
}

TEST(AutonatV2, ANodeThatCanBeReachedByNeitherIsUnreachable) {
  BothKinds setting(std::nullopt);
  EXPECT_EQ(setting.status_of(kByTcp), Reachability::unreachable);
  EXPECT_EQ(setting.status_of(kByQuic), Reachability::unreachable);
  const auto nat = setting.node->host().nat();
  EXPECT_EQ(nat.status, Reachability::unreachable) << nat.reason;
  EXPECT_TRUE(nat.is_confirmed);
}

TEST(AutonatV2, NobodyHearsOfTheSiblingsProtocol) {
  Setting setting(true);
  setting.start_node(setting.network.add_host({.name = "node", .addresses = {"5.6.7.9"}}));
  setting.world.run_for(2s);
  const auto boot = setting.boot->peer_id();
  auto [stream] = setting.world.run(setting.node->host().open_stream(boot, "/pyrsia/dial-back/1"));
  EXPECT_EQ(stream.error(), Errc::not_supported);
}

}  // namespace
}  // namespace pyrsia::test

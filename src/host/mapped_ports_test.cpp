#include "host/mapped_ports.hpp"

#include "host/test_scratch.hpp"
#include "nat/portmap/fake_router.hpp"
#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <pyrsia/host.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;
using portmap::FakeRouter;

constexpr const char* kCarrierSide = "100.64.0.2";

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

/// Three boot servers of different networks, and a node behind a home router; optionally a
/// carrier's NAT between.
struct Home {
  explicit Home(bool has_carrier = false)
      : carrier(has_carrier ? &add_nat("73.4.4.4", nullptr) : nullptr),
        nat(add_nat(has_carrier ? kCarrierSide : "73.1.2.3", carrier)),
        node_machine(add_machine("node", "192.168.1.2", &nat)),
        box(add_machine("router", "192.168.1.1", &nat)),
        router(box, ip("192.168.1.1"), ip(has_carrier ? kCarrierSide : "73.1.2.3"),
               forward_on(nat)) {
    net.set_default_path({.one_way_delay = 20ms});
    world.set_run_limit(2min);
    node_machine.set_gateways({"192.168.1.1"});
    EXPECT_TRUE(router.start());
    const char* boot_ips[] = {"5.6.7.1", "9.8.7.1", "80.1.1.1"};
    std::uint8_t number = 1;
    for (const auto* boot_ip : boot_ips) {
      Config config;
      config.is_listen_only = true;
      config.port_mapping.mode = PortMappingMode::off;
      start(*make(add_machine(boot_ip, boot_ip, nullptr), number, std::move(config)));
      boots.push_back(addr("/ip4/" + std::string(boot_ip) + "/tcp/44000")
                          .with_peer(key_of(number++).peer_id()));
    }
  }
  ~Home() {
    if (second) world.run(second->stop());
    for (auto& host : hosts) EXPECT_TRUE(std::get<0>(world.run(host->stop())));
    world.run(router.stop());
  }

  Host* make(sim::SimHost& machine, std::uint8_t number, Config config) {
    config.listen = {addr("/ip4/0.0.0.0/tcp/44000")};
    return hosts.emplace_back(*Host::make(machine, key_of(number), std::move(config))).get();
  }
  void start(Host& host) { EXPECT_TRUE(std::get<0>(world.run(host.start(nullptr)))); }
  void start_node() {
    Config config;
    config.peers = boots;
    config.network_memory = memory;
    if (!maps_ports) {
      config.port_mapping.mode = PortMappingMode::off;
      config.announce = {addr("/ip4/73.1.2.3/tcp/44000")};
    }
    node = make(node_machine, 9, std::move(config));
    start(*node);
  }
  void stop_node() {
    EXPECT_TRUE(std::get<0>(world.run(node->stop())));
    hosts.pop_back();
    node = nullptr;
  }
  /// Starts where it knows nobody whom it could ask, and returns what it says of its NAT.
  std::string words_of_a_lonely_start() {
    const auto known = std::exchange(boots, {});
    start_node();
    world.run_for(1s);
    const auto report = node->nat();
    EXPECT_EQ(report.status, Reachability::unknown);
    stop_node();
    boots = known;
    return report.reason;
  }
  void run_once() {
    start_node();
    world.run_for(90s);
    stop_node();
  }
  void open_by_hand() {
    nat.table().add_forward({sim::Protocol::tcp, 44000, {ip("192.168.1.2"), 44000}});
  }
  void close_by_hand() { nat.table().remove_forward(sim::Protocol::tcp, 44000); }
  /// The carrier's own router, which maps as well.
  void add_second() {
    auto& machine = add_machine("cgn", "100.64.0.1", carrier);
    second = std::make_unique<FakeRouter>(machine, ip("100.64.0.1"), ip("73.4.4.4"),
                                          forward_on(*carrier));
    EXPECT_TRUE(second->start());
  }
  PortMappingStatus mapping() const {
    const auto report = node->port_mapping();
    return report.mappings.empty() ? PortMappingStatus() : report.mappings.front();
  }
  bool is_advertised(const char* outside) const {
    const auto all = node->advertised_addresses();
    const auto wanted = addr("/ip4/" + std::string(outside) + "/tcp/44000");
    return std::ranges::find(all, wanted) != all.end();
  }
  std::vector<PortMappingChanged::Stage> stages() {
    std::vector<PortMappingChanged::Stage> out;
    world.run(take_stages(node_machine, *node, out));
    return out;
  }

  sim::World world;
  sim::Network net{world};
  sim::SimNat* carrier;
  sim::SimNat& nat;
  sim::SimHost& node_machine;
  sim::SimHost& box;
  FakeRouter router;
  std::unique_ptr<FakeRouter> second;
  std::vector<Multiaddr> boots;
  std::optional<std::filesystem::path> memory;
  bool maps_ports = true;  ///< Else it is told of the port that is open by hand.
  std::vector<std::unique_ptr<Host>> hosts;
  Host* node = nullptr;

 private:
  sim::SimNat& add_nat(const char* external, sim::SimNat* behind) {
    sim::NatConfig config;
    config.external = {ip(external)};
    return net.add_nat(config, behind);
  }
  sim::SimHost& add_machine(const char* name, const char* address, sim::SimNat* behind) {
    return net.add_host({.name = name, .addresses = {address}, .behind = behind});
  }
  static FakeRouter::Forward forward_on(sim::SimNat& box) {
    return [&box](const FakeRouter::Key& key, const std::optional<Endpoint>& internal) {
      const auto protocol =
          key.first == portmap::Transport::tcp ? sim::Protocol::tcp : sim::Protocol::udp;
      box.table().remove_forward(protocol, key.second);
      if (internal) box.table().add_forward({protocol, key.second, *internal});
    };
  }
  static Task<> take_stages(Env& env, Host& host, std::vector<PortMappingChanged::Stage>& out) {
    while (auto event = co_await with_timeout(env, 1ms, host.next_event()))
      if (const auto* one = std::get_if<PortMappingChanged>(&*event)) out.push_back(one->stage);
    co_return ok;
  }
};

using enum PortMappingChanged::Stage;

TEST(MappedPorts, AMappingThatADialBackConfirmedIsAdvertised) {
  Home home;
  home.start_node();
  home.world.run_for(90s);
  EXPECT_EQ(home.mapping().state, "confirmed") << home.mapping().reason;
  EXPECT_EQ(home.mapping().external, "73.1.2.3:44000");
  EXPECT_NE(home.mapping().reason.find("a dial-back came through"), std::string::npos);
  EXPECT_TRUE(home.is_advertised("73.1.2.3"));
  EXPECT_EQ(home.stages(), (std::vector{made, confirmed}));
}

TEST(MappedPorts, ARouterThatSaysYesAndDoesNothingIsNamedAndItsMappingNotAdvertised) {
  Home home;
  home.router.does.does_nothing = true;
  home.start_node();
  home.world.run_for(90s);
  EXPECT_EQ(home.mapping().state, "broken") << home.mapping().reason;
  EXPECT_NE(home.mapping().reason.find("it is 192.168.1.1 that does not do what it says"),
            std::string::npos)
      << home.mapping().reason;
  EXPECT_FALSE(home.is_advertised("73.1.2.3"));
  EXPECT_EQ(home.node->nat().status, Reachability::unreachable);
}

TEST(MappedPorts, TheHopsOfANestedMappingAreNamed) {
  Home home(true);
  home.add_second();
  home.start_node();
  home.world.run_for(90s);
  EXPECT_EQ(home.mapping().state, "confirmed") << home.mapping().reason;
  EXPECT_EQ(home.mapping().routers, (std::vector<std::string>{"192.168.1.1", "100.64.0.1"}));
  EXPECT_TRUE(home.is_advertised("73.4.4.4"));
}

TEST(MappedPorts, TheSecondHopIsNamedWhereItDoesNothing) {
  Home home(true);
  home.add_second();
  home.second->does.does_nothing = true;
  home.start_node();
  home.world.run_for(90s);
  EXPECT_EQ(home.mapping().state, "broken") << home.mapping().reason;
  EXPECT_NE(home.mapping().reason.find("it is 100.64.0.1 that does not do what it says"),
            std::string::npos)
      << home.mapping().reason;
  EXPECT_FALSE(home.is_advertised("73.4.4.4"));
}

/// No verdict changes meanwhile: the port stays open by hand, whatever the router says.
TEST(MappedPorts, AMappingThatComesBackIsJudgedThoughTheVerdictOfItsAddressStays) {
  Home home;
  home.open_by_hand();
  auto& does = home.router.does;
  does.does_nothing = true;
  does.speaks_nat_pmp = does.speaks_upnp = false;
  home.start_node();
  home.world.run_for(90s);
  ASSERT_EQ(home.mapping().state, "confirmed") << home.mapping().reason;
  does.pcp_result = portmap::pcp::ResultCode::not_authorized;
  while (home.mapping().state != "none") home.world.run_for(1s);
  does.pcp_result = portmap::pcp::ResultCode::success;
  while (home.mapping().state == "none") home.world.run_for(1s);
  EXPECT_EQ(home.node->nat().status, Reachability::reachable);
  home.world.run_for(1s);
  EXPECT_EQ(home.mapping().state, "confirmed") << home.mapping().reason;
}

TEST(MappedPorts, TheNextStartInAKnownNetworkSaysWhatWasTheCaseAndIsKnownToTheRouter) {
  const host::Scratch scratch;
  Home home;
  home.memory = scratch.path / "memory.json";
  home.start_node();
  home.world.run_for(90s);
  ASSERT_EQ(home.node->nat().status, Reachability::reachable);
  ASSERT_EQ(home.router.table.size(), 1U);
  const auto nonce = home.router.table.begin()->second.nonce;
  home.stop_node();

  home.boots.clear();  // Nobody whom it could ask.
  home.start_node();
  home.world.run_for(1s);
  const auto nat = home.node->nat();
  EXPECT_EQ(nat.status, Reachability::unknown);
  EXPECT_NE(nat.reason.find("when last in this network: reachable"), std::string::npos)
      << nat.reason;
  ASSERT_EQ(home.router.table.size(), 1U);
  EXPECT_EQ(home.router.table.begin()->second.nonce, nonce);
}

TEST(MappedPorts, WithoutAMemoryNothingIsKnownOfAnEarlierStart) {
  Home home;
  home.start_node();
  home.world.run_for(90s);
  ASSERT_EQ(home.router.table.size(), 1U);
  const auto nonce = home.router.table.begin()->second.nonce;
  home.stop_node();
  home.boots.clear();
  home.start_node();
  home.world.run_for(1s);
  EXPECT_EQ(home.node->nat().reason.find("when last"), std::string::npos);
  ASSERT_EQ(home.router.table.size(), 1U);
  EXPECT_NE(home.router.table.begin()->second.nonce, nonce);
}

constexpr const char* kWasReachable = "when last in this network: reachable";
constexpr const char* kAnotherRouter = "02:00:00:00:00:99";

TEST(MappedPorts, TheVerdictIsRememberedThoughPortMappingIsOff) {
  const host::Scratch scratch;
  Home home;
  home.memory = scratch.path / "memory.json";
  home.maps_ports = false;
  home.open_by_hand();
  home.run_once();
  EXPECT_NE(home.words_of_a_lonely_start().find(kWasReachable), std::string::npos);
}

TEST(MappedPorts, ARouterThatIsNotKnownYetIsTakenForNoOther) {
  const host::Scratch scratch;
  Home home;
  home.memory = scratch.path / "memory.json";
  home.run_once();
  // Another home with the same numbers, whose router nobody has spoken to.
  home.node_machine.set_gateways({"192.168.1.1"}, "");
  EXPECT_EQ(home.words_of_a_lonely_start().find("when last"), std::string::npos);
  home.router.does.does_nothing = true;
  home.run_once();
  home.node_machine.set_gateways({"192.168.1.1"}, kAnotherRouter);
  EXPECT_EQ(home.words_of_a_lonely_start().find("when last"), std::string::npos);
  home.node_machine.set_gateways({"192.168.1.1"});
  EXPECT_NE(home.words_of_a_lonely_start().find(kWasReachable), std::string::npos);
}

TEST(MappedPorts, ARouterThatIsSpokenToLaterIsRememberedAndRecalledThen) {
  const host::Scratch scratch;
  Home home;
  home.memory = scratch.path / "memory.json";
  home.node_machine.set_gateways({"192.168.1.1"}, "");
  home.start_node();
  home.node_machine.set_gateways({"192.168.1.1"});
  home.world.run_for(90s);
  ASSERT_EQ(home.router.table.size(), 1U);
  const auto nonce = home.router.table.begin()->second.nonce;
  home.stop_node();

  home.boots.clear();
  home.start_node();
  home.world.run_for(1s);
  ASSERT_EQ(home.router.table.size(), 1U);
  EXPECT_EQ(home.router.table.begin()->second.nonce, nonce);
  home.stop_node();

  home.node_machine.set_gateways({"192.168.1.1"}, "");
  home.start_node();
  home.node_machine.set_gateways({"192.168.1.1"});
  home.world.run_for(3s);
  EXPECT_NE(home.node->nat().reason.find(kWasReachable), std::string::npos);
}

TEST(MappedPorts, WhatIsLearnedElsewhereIsNotWrittenDownForTheLastNetwork) {
  const host::Scratch scratch;
  Home home;
  home.memory = scratch.path / "memory.json";
  home.maps_ports = false;
  home.open_by_hand();
  home.start_node();
  home.world.run_for(90s);
  ASSERT_EQ(home.node->nat().status, Reachability::reachable);
  home.node_machine.set_gateways({});
  home.close_by_hand();
  home.node_machine.announce_network_change();
  home.world.run_for(90s);
  ASSERT_EQ(home.node->nat().status, Reachability::unreachable);
  home.stop_node();
  home.node_machine.set_gateways({"192.168.1.1"});
  EXPECT_NE(home.words_of_a_lonely_start().find(kWasReachable), std::string::npos);
}

/// Somebody else is there, and even speaks our protocol.
TEST(MappedPorts, APublicAddressThatIsSomebodyElsesIsBrokenAndDoesNotCount) {
  Home home;
  Config config;
  config.is_listen_only = true;
  config.port_mapping.mode = PortMappingMode::off;
  auto& other = home.net.add_host({.name = "other", .addresses = {"73.9.9.9"}});
  home.start(*home.make(other, 20, std::move(config)));
  home.router.external = ip("73.9.9.9");
  home.router.does.does_nothing = true;
  home.start_node();
  home.world.run_for(90s);
  EXPECT_EQ(home.mapping().state, "broken") << home.mapping().reason;
  EXPECT_NE(home.mapping().reason.find("peers see us at 73.1.2.3"), std::string::npos)
      << home.mapping().reason;
  EXPECT_FALSE(home.is_advertised("73.9.9.9"));
  EXPECT_EQ(home.node->nat().status, Reachability::unreachable) << home.node->nat().reason;
  EXPECT_EQ(home.stages(), (std::vector{made, broken}));
}

TEST(MappedPorts, AnOutsideAddressOfTheOtherFamilyIsALie) {
  for (const bool by_upnp : {false, true}) {
    Home home;
    home.router.does.speaks_pcp = !by_upnp;
    home.router.does.speaks_nat_pmp = false;
    home.router.does.speaks_upnp = by_upnp;
    home.router.external = ip("2a00:1::1");
    home.start_node();
    home.world.run_for(90s);
    EXPECT_EQ(home.mapping().state, "none") << home.mapping().reason;
    EXPECT_NE(home.mapping().reason.find("2a00:1::1"), std::string::npos) << home.mapping().reason;
    EXPECT_TRUE(home.stages().empty());
    EXPECT_TRUE(home.router.table.empty());  // What is of no use is given back.
    for (const auto& each : home.node->nat().addresses) EXPECT_FALSE(each.address.ip()->is_v6());
  }
}

TEST(MappedPorts, UpnpThatListsAMappingAndForwardsNothingIsBroken) {
  Home home;
  home.router.does.speaks_pcp = home.router.does.speaks_nat_pmp = false;
  home.router.does.does_nothing = true;
  home.start_node();
  home.world.run_for(90s);
  ASSERT_EQ(home.router.table.size(), 1U);
  EXPECT_EQ(home.mapping().state, "broken") << home.mapping().reason;
  EXPECT_EQ(home.mapping().protocol, "upnp");
  EXPECT_FALSE(home.is_advertised("73.1.2.3"));
  EXPECT_EQ(home.node->nat().status, Reachability::unreachable);
  EXPECT_EQ(home.stages(), (std::vector{made, broken}));
}

}  // namespace
}  // namespace pyrsia

#include "nat/portmap/test_home.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;
using State = MappingStatus::State;

TEST(MapperUpnp, EveryRefusalOfUpnpIsSaidInWords) {
  for (const int code : {402, 501, 606, 718, 724, 725, 728, 729, 899}) {
    Home home;
    home.use(Method::upnp);
    home.router.does.upnp_error = code;
    home.start();
    home.world.run_for(4s);
    EXPECT_EQ(home.status().state, State::none) << code;
    EXPECT_EQ(home.attempt(Method::upnp), "AddPortMapping: error " + std::to_string(code) + ", " +
                                              std::string(upnp::meaning(code)));
    EXPECT_TRUE(home.router.table.empty()) << code;
  }
}

TEST(MapperUpnp, UpnpIsAskedOtherwiseWhereThatMayHelp) {
  for (const int code : {402, 501, 718, 724, 725, 729}) {
    Home home;
    home.use(Method::upnp);
    home.router.does.upnp_error = code;
    home.router.does.upnp_errors = 1;
    home.start();
    home.world.run_for(3s);
    ASSERT_EQ(home.status().state, State::granted) << code << ": " << home.status().words;
    const bool is_other_port = code == 501 || code == 718 || code == 729;
    EXPECT_EQ(home.status().external->port != kPort, is_other_port) << code;
    const bool is_without_end = code == 402 || code == 725;
    EXPECT_EQ(home.router.table.begin()->second.lifetime_seconds == 0, is_without_end) << code;
  }
}

TEST(MapperUpnp, UpnpSaysYesButDoesNotListIt) {
  Home home;
  home.use(Method::upnp);
  home.router.does.forgets_upnp = true;
  home.start();
  home.world.run_for(4s);
  EXPECT_EQ(home.status().state, State::none);
  EXPECT_NE(home.attempt(Method::upnp).find("says yes, but then does not have the mapping"),
            std::string::npos);
}

TEST(MapperUpnp, UpnpWithoutLeasesGetsAMappingWithoutAnEnd) {
  Home home;
  home.use(Method::upnp);
  home.router.does.knows_only_permanent = true;
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.status().state, State::granted);
  EXPECT_EQ(home.router.table.begin()->second.lifetime_seconds, 0U);
  home.stop();
  EXPECT_TRUE(home.router.table.empty());
}

TEST(MapperUpnp, UpnpTriesAnotherPortWhereOneIsTaken) {
  Home home;
  home.use(Method::upnp);
  home.router.table[{Transport::tcp, kPort}] = {{ip("192.168.1.77"), kPort}, {}, 0};
  home.start();
  home.world.run_for(3s);
  ASSERT_EQ(home.status().state, State::granted) << home.status().words;
  EXPECT_NE(home.status().external->port, kPort);
}

TEST(MapperUpnp, UpnpThatIsNotConnectedIsNotUsed) {
  Home home;
  home.use(Method::upnp);
  home.router.does.upnp_status = "Disconnected";
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.status().state, State::none);
  EXPECT_NE(home.attempt(Method::upnp).find("not connected"), std::string::npos)
      << home.attempt(Method::upnp);
}

TEST(MapperUpnp, HostileXmlCostsTheBudgetAndNoMore) {
  for (const auto& xml :
       {std::string("<"), std::string(200 * 1024, 'x'),
        std::string("<root><serviceType>") + std::string(50000, 'a'), std::string("\0\0\0", 3)}) {
    Home home;
    home.use(Method::upnp);
    home.router.does.description = xml;
    home.router.does.replies = 20;
    home.start();
    home.world.run_for(home.config.router.budget + 100ms);
    EXPECT_EQ(home.status().state, State::none) << xml.size();
  }
  Home home;
  home.use(Method::upnp);
  home.router.does.upnp_answer = std::string(100 * 1024, 'y');
  home.start();
  home.world.run_for(home.config.router.budget + 100ms);
  EXPECT_EQ(home.status().state, State::none);
}

TEST(MapperUpnp, APinholeIsAskedForOverIpv6WhereOnlyUpnpIsSpoken) {
  Home home;
  home.node.set_addresses({"2a00::2"});
  home.node.set_gateways({"2a00::1"});
  home.box.set_addresses({"2a00::1"});
  FakeRouter router(home.box, ip("2a00::1"), ip("2a00::1"), forward_on(home.nat));
  router.does.speaks_pcp = router.does.speaks_nat_pmp = false;
  router.does.checks_pinhole_client = true;
  ASSERT_TRUE(router.start());
  home.start();
  home.mapper->set_listeners({{Transport::tcp, {ip("2a00::2"), kPort}}});
  home.world.run_for(4s);
  EXPECT_EQ(home.status().external, (Endpoint{ip("2a00::2"), kPort})) << home.status().words;
  EXPECT_EQ(home.status().method, Method::upnp);
  EXPECT_EQ(home.count(MappingEvent::Kind::gained), 1U);
  home.mapper->judge(Transport::tcp, {ip("2a00::2"), kPort}, true);
  home.mapper->judge(Transport::tcp, {ip("2a00::2"), kPort}, true);
  EXPECT_EQ(home.count(MappingEvent::Kind::confirmed), 1U);
  home.mapper->judge(Transport::tcp, {ip("2a00::2"), kPort}, false);
  EXPECT_EQ(home.count(MappingEvent::Kind::broken), 1U);
  home.stop();
  home.world.run(router.stop());
}

/// A node with an IPv6 address, and a router of it that speaks UPnP only.
struct HomeV6 : Home {
  HomeV6() {
    node.set_addresses({"2a00::2"});
    node.set_gateways({"2a00::1"});
    box.set_addresses({"2a00::1"});
    router_v6.does.speaks_pcp = router_v6.does.speaks_nat_pmp = false;
    EXPECT_TRUE(router_v6.start());
  }
  ~HomeV6() override {
    stop();
    world.run(router_v6.stop());
  }
  void begin() {
    start();
    mapper->set_listeners({{Transport::tcp, {ip("2a00::2"), kPort}}});
  }
  FakeRouter router_v6{box, ip("2a00::1"), ip("2a00::1"), forward_on(nat)};
};

TEST(MapperUpnp, EveryRefusalOfAPinholeIsSaidInWords) {
  for (const int code : {606, 701, 702, 703, 705}) {
    HomeV6 home;
    home.router_v6.does.pinhole_error = code;
    home.begin();
    home.world.run_for(4s);
    EXPECT_EQ(home.status().state, State::none) << code;
    EXPECT_NE(home.status().words.find("AddPinhole: error " + std::to_string(code) + ", " +
                                       std::string(upnp::meaning(code))),
              std::string::npos)
        << home.status().words;
  }
}

TEST(MapperUpnp, APinholeThatTheRouterHasForgottenIsOpenedAgain) {
  HomeV6 home;
  home.begin();
  home.world.run_for(4s);
  EXPECT_EQ(home.router_v6.pinholes, 1);
  home.world.run_for(home.config.check_interval);
  EXPECT_EQ(home.router_v6.pinholes, 1);
  home.router_v6.does.forgets_pinholes = true;
  home.world.run_for(home.config.check_interval);
  EXPECT_EQ(home.router_v6.pinholes, 2);
  EXPECT_EQ(home.status().state, State::granted);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U);
}

/// A machine beside the router that answers searches before it does.
struct Crowded : Home {
  Crowded() {
    use(Method::upnp);
    other.does.speaks_pcp = other.does.speaks_nat_pmp = false;
    router.neighbours = {&other};
    EXPECT_TRUE(other.start());
  }
  ~Crowded() override {
    stop();
    world.run(other.stop());
  }
  sim::SimHost& machine =
      net.add_host({.name = "other", .addresses = {"192.168.1.9"}, .behind = &nat});
  FakeRouter other{machine, ip("192.168.1.9"), ip("73.1.2.3"), forward_on(nat)};
};

TEST(MapperUpnp, ADeviceThatAnswersButIsNoGatewayIsPassedOver) {
  Crowded home;
  home.other.does.description =
      "<root><device><friendlyName>Printer</friendlyName></device></root>";
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.status().state, State::granted) << home.status().words;
  EXPECT_EQ(home.attempt(Method::upnp), "UPnP at 192.168.1.1, outside address 73.1.2.3");
  EXPECT_EQ(home.router.table.size(), 1U);
}

TEST(MapperUpnp, OfTwoGatewaysTheOneOfTheDefaultRouteIsAsked) {
  Crowded home;
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.router.table.size(), 1U);
  EXPECT_TRUE(home.other.table.empty());
}

/// More machines beside the router than are looked at in one search, who answer before it does.
struct Throng : Home {
  Throng() {
    use(Method::upnp);
    for (int i = 0; i < 12; ++i) {
      const auto address = "192.168.1." + std::to_string(100 + i);
      auto& machine = net.add_host({.name = address, .addresses = {address}, .behind = &nat});
      others.push_back(std::make_unique<FakeRouter>(machine, ip(address.c_str()), ip("73.1.2.3"),
                                                    forward_on(nat)));
      auto& other = *others.back();
      other.does.speaks_pcp = other.does.speaks_nat_pmp = false;
      router.neighbours.push_back(&other);
      EXPECT_TRUE(other.start());
    }
  }
  ~Throng() override {
    stop();
    for (const auto& other : others) world.run(other->stop());
  }
  std::vector<std::unique_ptr<FakeRouter>> others;
};

TEST(MapperUpnp, NeighboursThatStallKeepNobodyFromTheRouter) {
  Throng home;
  for (const auto& other : home.others) other->does.stalls = true;
  home.start();
  home.world.run_for(500ms);
  EXPECT_EQ(home.status().state, State::granted) << home.status().words;
  EXPECT_EQ(home.attempt(Method::upnp), "UPnP at 192.168.1.1, outside address 73.1.2.3");
}

TEST(MapperUpnp, HoweverManyDevicesAnswerThereIsAPlaceForTheRouter) {
  Throng home;
  for (const auto& other : home.others)
    other->does.description = "<root><device><friendlyName>Printer</friendlyName></device></root>";
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.status().state, State::granted) << home.status().words;
}

TEST(MapperUpnp, OneThatStallsKeepsNobodyFromAGatewayThatStandsIn) {
  Throng home;
  home.router.does.speaks_upnp = false;
  for (const auto& other : home.others) other->does.stalls = true;
  home.others[3]->does.stalls = false;
  home.start();
  home.world.run_for(1500ms);
  EXPECT_EQ(home.attempt(Method::upnp), "UPnP at 192.168.1.103, outside address 73.1.2.3");
}

TEST(MapperUpnp, AnotherGatewayStandsInForARouterThatIsNone) {
  Crowded home;
  home.router.does.speaks_upnp = false;
  home.start();
  home.world.run_for(4s);
  EXPECT_EQ(home.status().state, State::granted) << home.status().words;
  EXPECT_EQ(home.attempt(Method::upnp), "UPnP at 192.168.1.9, outside address 73.1.2.3");
  EXPECT_EQ(home.other.table.size(), 1U);
}

}  // namespace
}  // namespace pyrsia::portmap

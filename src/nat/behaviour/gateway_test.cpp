#include "nat/behaviour/gateway.hpp"

#include "nat/portmap/fake_router.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat {
namespace {

using namespace std::chrono_literals;
using portmap::FakeRouter;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

/// A node behind one router, or behind one more.
struct Home {
  explicit Home(const char* outside = "73.1.2.3") : outside_ip(outside) {
    node.set_gateways({"192.168.1.1"});
    EXPECT_TRUE(router.start());
  }
  ~Home() {
    world.run(router.stop());
    if (second) world.run(second->stop());
  }

  void add_second(const char* inside, const char* outside) {
    auto& machine = net.add_host({.name = "second", .addresses = {inside}});
    second = std::make_unique<FakeRouter>(machine, ip(inside), ip(outside),
                                          [](const auto&, const auto&) {});
    EXPECT_TRUE(second->start());
  }
  GatewayFacts look() {
    GatewayProbe probe(node, config, classifier);
    const auto begin = world.now();
    auto [facts] = world.run(probe.run());
    took = world.now() - begin;
    world.run(probe.stop());
    EXPECT_TRUE(facts);
    return facts ? *facts : GatewayFacts();
  }

  const char* outside_ip;
  sim::World world;
  sim::Network net{world};
  sim::SimHost& node = net.add_host({.name = "node", .addresses = {"192.168.1.2"}});
  sim::SimHost& box = net.add_host({.name = "router", .addresses = {"192.168.1.1"}});
  FakeRouter router{box, ip("192.168.1.1"), ip(outside_ip), [](const auto&, const auto&) {}};
  std::unique_ptr<FakeRouter> second;
  AddressClassifier classifier;
  GatewayConfig config;
  Duration took{0};
};

TEST(GatewayProbe, SeesWhatTheRouterSpeaksAndThatItOpensPorts) {
  Home home;
  const auto facts = home.look();
  EXPECT_EQ(facts.router, ip("192.168.1.1"));
  EXPECT_EQ(facts.has_pcp, true);
  EXPECT_EQ(facts.has_nat_pmp, true);
  EXPECT_EQ(facts.has_upnp, true);
  EXPECT_EQ(facts.external_ip, ip("73.1.2.3"));
  EXPECT_EQ(facts.is_mapped, true);
  EXPECT_EQ(facts.mapping_why, "by pcp, at 73.1.2.3");
  EXPECT_FALSE(facts.second_router);
  EXPECT_TRUE(home.router.table.empty());  // What was tried is taken away.
}

TEST(GatewayProbe, TellsTheRoutersNameAndWhyItRefuses) {
  Home home;
  home.router.does.speaks_pcp = home.router.does.speaks_nat_pmp = false;
  home.router.does.upnp_error = 606;
  home.router.does.description =
      "<root><device><friendlyName>My Box\x01</friendlyName><serviceList><service><serviceType>"
      "urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/ip</controlURL>"
      "</service></serviceList></device></root>";
  const auto facts = home.look();
  EXPECT_EQ(facts.has_pcp, false);
  EXPECT_EQ(facts.has_upnp, true);
  EXPECT_TRUE(facts.name.starts_with("My Box")) << facts.name;
  EXPECT_EQ(facts.name.find('\x01'), std::string::npos);
  EXPECT_EQ(facts.is_mapped, false);
  EXPECT_NE(facts.mapping_why.find("set not to let"), std::string::npos) << facts.mapping_why;
}

TEST(GatewayProbe, ASilentRouterCostsTheBudgetAndNoMore) {
  Home home;
  auto& does = home.router.does;
  does.speaks_pcp = does.speaks_nat_pmp = does.speaks_upnp = false;
  const auto facts = home.look();
  EXPECT_EQ(facts.has_upnp, false);
  EXPECT_EQ(facts.is_mapped, false);
  EXPECT_NE(facts.mapping_why.find("neither PCP"), std::string::npos) << facts.mapping_why;
  EXPECT_EQ(home.took, home.config.budget);
}

TEST(GatewayProbe, WithoutARouterNothingIsKnown) {
  Home home;
  home.node.set_gateways({});
  const auto facts = home.look();
  EXPECT_FALSE(facts.router || facts.has_pcp || facts.is_mapped);
  EXPECT_NE(facts.mapping_why.find("no default route"), std::string::npos);
  EXPECT_EQ(home.took, 0ms);
}

TEST(GatewayProbe, FindsTheSecondRouter) {
  Home home("10.0.0.2");
  home.add_second("10.0.0.1", "73.1.2.3");
  const auto facts = home.look();
  EXPECT_EQ(facts.external_ip, ip("10.0.0.2"));
  EXPECT_EQ(facts.is_mapped, false);
  EXPECT_NE(facts.mapping_why.find("another router"), std::string::npos) << facts.mapping_why;
  EXPECT_EQ(facts.second_router, ip("10.0.0.1"));
  EXPECT_LE(home.took, 2s);
}

TEST(GatewayProbe, ACarriersNatIsTold) {
  Home home("100.64.0.2");
  Report report;
  report.gateway = home.look();
  report.udp.has_nat = true;
  report.udp.is_blocked = false;
  report.udp.mapped = Endpoint{ip("73.1.2.3"), 1};
  report.udp.mapping = Dependence::endpoint_independent;
  report.position = position_of(report);
  EXPECT_EQ(report.position, Position::carrier_nat);
  EXPECT_NE(advise(report).fix.find("provider"), std::string::npos);
}

}  // namespace
}  // namespace pyrsia::nat

#include "nat/behaviour/gateway.hpp"

#include "nat/portmap/fake_router.hpp"
#include "sim/two_hosts.hpp"

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
    second_box = &net.add_host({.name = "second", .addresses = {inside}});
    second = std::make_unique<FakeRouter>(*second_box, ip(inside), ip(outside),
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
  sim::SimHost* second_box = nullptr;
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

TEST(GatewayProbe, ASlowRouterCostsTheLimitAndWhatItSaysTooLateIsUnknown) {
  Home home("10.0.0.2");
  home.add_second("10.0.0.1", "73.1.2.3");
  for (const auto* machine : {&home.box, home.second_box})
    home.net.set_path(home.node, *machine, sim::delay_of(280ms));
  const auto facts = home.look();
  EXPECT_EQ(facts.has_pcp, true);
  EXPECT_EQ(facts.external_ip, ip("10.0.0.2"));
  EXPECT_EQ(facts.is_mapped, std::nullopt);
  EXPECT_FALSE(facts.mapping_why.empty());
  EXPECT_EQ(facts.second_router, std::nullopt);
  EXPECT_LE(home.took, home.config.limit);
}

TEST(GatewayProbe, WhateverFailsItEndsWithWhatIsKnown) {
  std::uint64_t number = 0;
  for (bool has_failed = true; has_failed; ++number) {
    Home home;
    home.router.does.speaks_upnp = false;  // It has a thousand operations.
    const auto failing = home.net.operation_count() + number;
    home.net.fail_operation(failing);
    const auto facts = home.look();  // Which expects that there are some.
    EXPECT_EQ(facts.router, ip("192.168.1.1"));
    EXPECT_LE(home.took, home.config.limit);
    has_failed = home.net.operation_count() > failing;
  }
  EXPECT_GT(number, 10U);
}

/// The whole of it, for somebody whom servers see at a public address.
Report behind(GatewayFacts gateway) {
  Report report;
  report.gateway = std::move(gateway);
  report.udp.has_nat = true;
  report.udp.is_blocked = false;
  report.udp.mapped = Endpoint{ip("73.1.2.3"), 1};
  report.udp.mapping = Dependence::endpoint_independent;
  report.position = position_of(report);
  return report;
}

TEST(GatewayProbe, ACarriersNatIsTold) {
  Home home("100.64.0.2");
  const auto report = behind(home.look());
  EXPECT_EQ(report.position, Position::carrier_nat);
  EXPECT_NE(advise(report).fix.find("provider"), std::string::npos);
}

TEST(GatewayProbe, ACarriersNatIsSeenThoughTheRouterRefusesForIt) {
  Home home("100.64.0.2");
  home.router.does.pcp_result = portmap::pcp::ResultCode::network_failure;
  home.router.does.nat_pmp_result = portmap::nat_pmp::ResultCode::network_failure;
  home.router.does.upnp_status = "Disconnected";
  const auto facts = home.look();
  EXPECT_EQ(facts.is_mapped, false);
  EXPECT_EQ(facts.external_ip, ip("100.64.0.2"));
  EXPECT_EQ(behind(facts).position, Position::carrier_nat);
}

TEST(GatewayProbe, ARefusalForWantOfAnAddressIsEvidenceOfAnotherNat) {
  for (const auto method : portmap::kMethods) {
    Home home("0.0.0.0");
    auto& does = home.router.does;
    does.speaks_pcp = method == portmap::Method::pcp;
    does.speaks_nat_pmp = method == portmap::Method::nat_pmp;
    does.speaks_upnp = method == portmap::Method::upnp;
    does.pcp_result = portmap::pcp::ResultCode::network_failure;
    does.nat_pmp_result = portmap::nat_pmp::ResultCode::network_failure;
    does.upnp_status = "Disconnected";
    const auto facts = home.look();
    EXPECT_EQ(facts.external_ip, std::nullopt) << name(method);
    EXPECT_EQ(facts.has_outside, false) << name(method);
    const auto report = behind(facts);
    EXPECT_EQ(report.position, std::nullopt);
    EXPECT_NE(advise(report).fix.find("provider"), std::string::npos) << advise(report).fix;
  }
}

TEST(GatewayProbe, ANatBetweenUsAndTheRouterIsTold) {
  Home home;
  home.router.does.speaks_nat_pmp = home.router.does.speaks_upnp = false;
  home.router.does.sees_another_client = true;
  const auto facts = home.look();
  EXPECT_EQ(facts.has_pcp, true);
  EXPECT_EQ(facts.is_mapped, false);
  EXPECT_NE(facts.mapping_why.find("another NAT is between"), std::string::npos)
      << facts.mapping_why;
  EXPECT_NE(advise(behind(facts)).fix.find("another NAT is between"), std::string::npos);
}

TEST(GatewayProbe, WhereTheRouterTellsNoOutsideThereIsNoTellingWhatIsBehindIt) {
  Home home;
  auto& does = home.router.does;
  does.speaks_nat_pmp = does.speaks_upnp = false;
  does.pcp_result = portmap::pcp::ResultCode::not_authorized;
  const auto facts = home.look();
  EXPECT_EQ(facts.has_pcp, true);
  EXPECT_FALSE(facts.external_ip || facts.has_outside);
  EXPECT_EQ(behind(facts).position, std::nullopt);
}

TEST(GatewayProbe, AnOutsideThatCannotBeIsToldAsALieAndNobodyBesideItIsAsked) {
  for (const auto* lie : {"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1"}) {
    Home home(lie);
    const auto outside = ip(lie);
    const auto b = outside.bytes();
    const auto beside = IpAddress::v4({b[0], b[1], b[2], 254}).to_string();
    home.add_second(beside.c_str(), "73.1.2.3");
    const auto facts = home.look();
    EXPECT_FALSE(facts.external_ip || facts.second_router) << lie;
    EXPECT_EQ(facts.has_outside, false) << lie;
    EXPECT_EQ(facts.is_mapped, false) << lie;
    const bool is_down = ip(lie).is_unspecified();
    EXPECT_NE(facts.mapping_why.find(is_down ? "is down" : "which cannot be"), std::string::npos)
        << facts.mapping_why;
    EXPECT_EQ(home.second->requests, 0) << lie;
    EXPECT_EQ(behind(facts).position, std::nullopt) << lie;
    EXPECT_TRUE(home.router.table.empty());
  }
}

TEST(GatewayFacts, OfARunningNodeTellOfANatBetween) {
  PortMappingReport told;
  told.attempts = {{"192.168.1.1", "pcp", "failed", "ADDRESS_MISMATCH", {}, "", "", false, true}};
  EXPECT_EQ(gateway_facts(told, AddressClassifier()).has_pcp, true);
}

TEST(GatewayFacts, OfARunningNodeAreReadLikeThoseOfAProbe) {
  PortMappingReport told;
  told.attempts = {
      {"192.168.1.1", "pcp", "failed", "refuses", {}, "", "", true},
      {"192.168.1.1", "upnp", "failed", "not connected", {}, "100.64.0.2", "Box", true}};
  const auto carrier = gateway_facts(told, AddressClassifier());
  EXPECT_EQ(carrier.router, ip("192.168.1.1"));
  EXPECT_EQ(carrier.name, "Box");
  EXPECT_EQ(carrier.has_pcp, true);
  EXPECT_EQ(behind(carrier).position, Position::carrier_nat);
  told.attempts[1].external = "0.0.0.0";
  const auto down = gateway_facts(told, AddressClassifier());
  EXPECT_EQ(down.external_ip, std::nullopt);
  EXPECT_EQ(down.has_outside, false);
  PortMappingStatus mapping;
  mapping.state = "confirmed";
  mapping.external = "73.1.2.3:44000";
  mapping.routers = {"192.168.1.1"};
  told.attempts.resize(1);
  told.mappings = {mapping};
  const auto open = gateway_facts(told, AddressClassifier());
  EXPECT_EQ(open.external_ip, ip("73.1.2.3"));
  EXPECT_EQ(behind(open).position, Position::home_nat);
}

}  // namespace
}  // namespace pyrsia::nat

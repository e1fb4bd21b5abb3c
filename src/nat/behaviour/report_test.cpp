#include "nat/behaviour/report.hpp"

#include "nat/behaviour/nat64.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat {
namespace {

using enum Dependence;

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

Report behind(Dependence mapping, Dependence filtering, Allocation allocation) {
  static std::uint8_t next = 0;
  Report report;
  report.udp.is_blocked = false;
  report.tcp.is_blocked = false;
  report.udp.has_nat = true;
  report.udp.mapped = Endpoint{IpAddress::v4({203, 0, 113, ++next}), 4000};
  report.udp.mapping = report.tcp.mapping = mapping;
  report.udp.mapping_varies = mapping != endpoint_independent;
  report.udp.filtering = filtering;
  report.udp.allocation = allocation;
  return report;
}

const Report kFullCone = behind(endpoint_independent, endpoint_independent, Allocation::preserved);
const Report kPortRestricted =
    behind(endpoint_independent, address_and_port_dependent, Allocation::preserved);
const Report kSymmetric =
    behind(address_and_port_dependent, address_and_port_dependent, Allocation::random);
Report open() {
  Report report;
  report.udp.is_blocked = report.tcp.is_blocked = false;
  report.udp.has_nat = false;
  report.udp.filtering = endpoint_independent;
  return report;
}

TEST(Position, ComparesThreeAddresses) {
  auto report = kPortRestricted;
  EXPECT_EQ(position_of(report), std::nullopt);  // One NAT at least.
  report.gateway.external_ip = report.udp.mapped->ip;
  EXPECT_EQ(position_of(report), Position::home_nat);
  report.gateway.external_ip = ip("192.168.178.20");
  EXPECT_EQ(position_of(report), Position::double_nat);
  report.gateway.external_ip = ip("100.70.1.2");
  EXPECT_EQ(position_of(report), Position::carrier_nat);
  report.gateway.external_ip = ip("198.18.0.1");
  EXPECT_EQ(position_of(report), Position::carrier_nat);
  report.gateway.external_ip.reset();
  report.interface_ip = ip("100.64.3.4");
  EXPECT_EQ(position_of(report), Position::carrier_nat);
  EXPECT_EQ(position_of(open()), Position::open);
  EXPECT_EQ(position_of(Report()), std::nullopt);
}

TEST(Position, WhereTheRouterTellsNothingTheHopsDo) {
  auto report = kPortRestricted;
  EXPECT_EQ(nat_layers(report).count, std::nullopt);
  report.hops.first_has_mapped = true;
  report.hops.routers = {ip("192.168.1.1"), ip("100.64.0.1")};
  EXPECT_EQ(position_of(report), Position::home_nat);
  report.hops.first_has_mapped = false;
  report.hops.passed_count = 1;
  EXPECT_EQ(position_of(report), Position::carrier_nat);
  report.position = position_of(report);
  EXPECT_EQ(nat_layers(report).count, 2);
  report.hops.routers[1] = ip("192.0.0.1");  // DS-Lite: the first one need not translate.
  EXPECT_EQ(position_of(report), Position::carrier_nat);
  EXPECT_EQ(nat_layers(report).count, std::nullopt);
  report.hops.routers[1] = ip("10.0.0.1");
  EXPECT_EQ(position_of(report), std::nullopt);
  report.hops.routers.push_back(ip("100.64.0.1"));  // Beyond the one that has the address.
  EXPECT_EQ(position_of(report), std::nullopt);
  report.gateway.external_ip = ip("10.0.0.2");  // What a router says of itself is more.
  EXPECT_EQ(position_of(report), Position::double_nat);
  report.position = position_of(report);
  EXPECT_EQ(nat_layers(report).count, 2);
}

TEST(NatLayers, WithoutANatAreNoneAndWithoutAServerUnknown) {
  EXPECT_EQ(nat_layers(open()).count, 0);
  EXPECT_EQ(nat_layers(Report()).count, std::nullopt);
  auto report = kPortRestricted;
  report.gateway.external_ip = report.udp.mapped->ip;
  report.position = position_of(report);
  EXPECT_EQ(nat_layers(report).count, 1);
  EXPECT_FALSE(nat_layers(report).why.empty());
}

TEST(Advice, NamesWhatHelps) {
  EXPECT_EQ(advise(kSymmetric).verdict, Verdict::relayed);
  EXPECT_NE(advise(kSymmetric).fix.find("UPnP"), std::string::npos);
  auto mapped = kSymmetric;
  mapped.gateway.has_pcp = true;
  EXPECT_TRUE(advise(mapped).fix.empty());
  auto carrier = kSymmetric;
  carrier.position = Position::carrier_nat;
  EXPECT_NE(advise(carrier).fix.find("provider"), std::string::npos);
  auto reached = kSymmetric;
  reached.reachable = Reachability::reachable;
  EXPECT_EQ(advise(reached).verdict, Verdict::direct);
  auto tried = kSymmetric;
  tried.reachable = Reachability::unreachable;
  EXPECT_EQ(advise(tried).verdict, Verdict::unreachable);
  EXPECT_EQ(exit_code(advise(tried).verdict), 20);
  EXPECT_EQ(advise(tried).fix, advise(kSymmetric).fix);
  Report captive;
  captive.is_captive = true;
  EXPECT_EQ(exit_code(advise(captive).verdict), 22);
  EXPECT_EQ(exit_code(advise(Report()).verdict), 30);
}

TEST(Advice, OpenIpv6LeavesOnlyPeersWithoutItToRelays) {
  auto hard = kSymmetric;
  hard.has_ipv6 = true;
  EXPECT_EQ(advise(hard).verdict, Verdict::relayed);
  EXPECT_NE(advise(hard).fix.find("over IPv6"), std::string::npos);
  hard.has_nat_v6 = false;
  hard.filtering_v6 = address_and_port_dependent;
  EXPECT_NE(advise(hard).fix.find("over IPv6"), std::string::npos);
  hard.filtering_v6 = endpoint_independent;
  EXPECT_EQ(advise(hard).verdict, Verdict::degraded);
  EXPECT_NE(advise(hard).fix.find("UPnP"), std::string::npos);
  EXPECT_NE(advise(hard).summary.find("over IPv4 a hard NAT"), std::string::npos);
  hard.reachable = Reachability::unreachable;
  EXPECT_EQ(advise(hard).verdict, Verdict::unreachable);
  auto easy = kFullCone;
  easy.has_ipv6 = true;
  EXPECT_FALSE(advise(easy).fix.empty());
  easy.has_nat_v6 = false;
  easy.filtering_v6 = endpoint_independent;
  EXPECT_EQ(advise(easy).verdict, Verdict::direct);
  EXPECT_TRUE(advise(easy).fix.empty());
}

TEST(Advice, APortalIsNotClaimedWhereTheInternetWorks) {
  for (const auto works : {&kSymmetric, &kFullCone}) {
    auto report = *works;
    report.is_captive = true;
    EXPECT_NE(advise(report).verdict, Verdict::captive);
  }
  Report reached;
  reached.is_captive = true;
  reached.reachable = Reachability::reachable;
  EXPECT_EQ(advise(reached).verdict, Verdict::direct);
  Report over_tcp;
  over_tcp.is_captive = true;
  over_tcp.udp.is_blocked = true;
  over_tcp.tcp.is_blocked = false;
  EXPECT_EQ(advise(over_tcp).verdict, Verdict::udp_blocked);
}

// Vectors: RFC 6052, 2.4.
TEST(Nat64, AddressesAreThoseOfTheRfc) {
  const struct {
    std::string_view prefix;
    unsigned bits;
    std::string_view whole;
  } kVectors[] = {
      {"2001:db8::", 32, "2001:db8:c000:221::"},
      {"2001:db8:100::", 40, "2001:db8:1c0:2:21::"},
      {"2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"},
      {"2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"},
      {"2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"},
      {"2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"},
  };
  for (const auto& vector : kVectors) {
    const Nat64Prefix prefix{ip(vector.prefix), vector.bits};
    EXPECT_EQ(synthesize(prefix, ip("192.0.2.33")), ip(vector.whole));
    const std::array answers{synthesize(prefix, ip("192.0.0.171"))};
    EXPECT_EQ(prefix_in(answers), prefix);
    EXPECT_EQ(nat64_prefix_named(prefix.to_string()), prefix);
  }
}

TEST(Nat64, ALyingOrOrdinaryAnswerIsNoPrefix) {
  const std::array answers{ip("192.0.0.170"), ip("2001:db8::1"), ip("::")};
  EXPECT_EQ(prefix_in(answers), std::nullopt);
  for (const auto* text : {"", "64:ff9b::", "64:ff9b::/97", "1.2.3.0/32", "/96"})
    EXPECT_EQ(nat64_prefix_named(text), std::nullopt) << text;
}

TEST(Advice, NamesThatHaveNoAddressAreNamed) {
  Report report;
  report.unresolved = {"stun.invalid"};
  EXPECT_EQ(advise(report).verdict, Verdict::offline);
  EXPECT_EQ(advise(report).summary,
            "No STUN server could be asked: stun.invalid cannot be resolved to an address.");
  report.unresolved = {"a.invalid", "b.invalid", "c.invalid", "d.invalid"};
  EXPECT_NE(advise(report).summary.find("a.invalid, b.invalid and 2 more"), std::string::npos);
  // Somebody was asked, and it is his silence that says something.
  report.servers = {{ip("192.0.2.1"), 3478}};
  EXPECT_EQ(advise(report).summary.find("a.invalid"), std::string::npos);
  report.servers.clear();
  report.has_tls = false;
  EXPECT_EQ(advise(report).summary.find("a.invalid"), std::string::npos);
}

TEST(Allocation, IsToldFromTheOrderOfPorts) {
  using Samples = std::vector<PortSample>;
  const auto kind = [](const Samples& samples) {
    const auto found = allocation_of(samples);
    return found ? std::optional(found->allocation) : std::nullopt;
  };
  EXPECT_EQ(kind({{10, 10}, {12, 12}, {11, 11}, {13, 13}}), Allocation::preserved);
  EXPECT_EQ(kind({{10, 10}, {12, 12}, {11, 11}, {13, 999}}), Allocation::preserved);
  EXPECT_EQ(kind({{10, 20}, {12, 22}, {11, 21}, {13, 23}}), Allocation::contiguous);
  EXPECT_EQ(kind({{10, 20}, {12, 21}, {11, 22}, {13, 23}}), Allocation::sequential);
  EXPECT_EQ(kind({{10, 23}, {12, 22}, {11, 21}, {13, 20}}), Allocation::sequential);
  EXPECT_EQ(kind({{10, 200}, {12, 4000}, {11, 77}, {13, 901}}), Allocation::parity);
  EXPECT_EQ(kind({{10, 201}, {12, 4000}, {11, 77}, {13, 901}}), Allocation::random);
  EXPECT_EQ(kind({{10, 10}, {12, 12}, {11, 11}}), std::nullopt);
  EXPECT_EQ(allocation_of(Samples{{10, 20}, {12, 22}, {11, 24}, {13, 29}})->step, 2);
}

TEST(Names, AreReadBack) {
  for (const auto dependence :
       {endpoint_independent, address_dependent, address_and_port_dependent})
    EXPECT_EQ(dependence_named(name(dependence)), dependence);
  EXPECT_EQ(allocation_named("parity"), Allocation::parity);
  EXPECT_EQ(allocation_named("nonsense"), std::nullopt);
  EXPECT_EQ(short_name(address_dependent, 'F'), "ADF");
}

}  // namespace
}  // namespace pyrsia::nat

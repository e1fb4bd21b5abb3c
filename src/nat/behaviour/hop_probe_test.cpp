#include "nat/behaviour/hop_probe.hpp"

#include "nat/behaviour/survey.hpp"
#include "nat/stun/server.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat {
namespace {

using namespace std::chrono_literals;
using sim::at;
using Target = HopTrace::Target;

const LogSink kSilence;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

/// One box on the way out. Without `outside` it only routes; without `inside` it tells nobody of
/// what expires.
struct BoxOnTheWay {
  const char* inside;
  const char* outside;
};

/// A host behind boxes, from the nearest to the furthest, and a STUN server with two addresses 20
/// ms away. None of the boxes speaks any protocol to open ports.
struct Street {
  explicit Street(std::vector<BoxOnTheWay> boxes) {
    net.set_default_path(sim::delay_of(10ms));
    sim::SimNat* behind = nullptr;
    for (auto box = boxes.rbegin(); box != boxes.rend(); ++box) {
      sim::NatConfig config;
      if (box->inside) config.inside = ip(box->inside);
      if (box->outside) config.external = {ip(box->outside)};
      if (!box->outside) config.filtering = sim::Dependence::endpoint_independent;
      behind = &net.add_nat(config, behind);
    }
    host = &net.add_host({"host", {"192.168.1.2"}, behind});
    stun::ServerConfig config;
    config.udp = config.tcp = {at("192.0.2.1", 3478), at("192.0.2.1", 3479), at("192.0.2.2", 3478),
                               at("192.0.2.2", 3479)};
    server = std::make_unique<stun::Server>(far, config, Logger("stun", kSilence));
    EXPECT_TRUE(server->start(nullptr));
  }
  ~Street() { (void)world.run(server->stop()); }

  HopFacts look(std::vector<Endpoint> servers = {at("192.0.2.1", 3478)}) {
    HopProbe probe(*host, std::move(servers), HopConfig());
    const auto begin = world.now();
    auto [facts] = world.run(probe.run());
    took = world.now() - begin;
    world.run(probe.stop());
    EXPECT_TRUE(facts);
    return facts ? *facts : HopFacts();
  }
  Report survey() {
    SurveyConfig config;
    config.servers = {at("192.0.2.77", 3478), at("192.0.2.1", 3478)};  // The first one is dead.
    Survey survey(*host, config);
    auto [report] = world.run(survey.run());
    world.run(survey.stop());
    EXPECT_TRUE(report);
    return report ? *report : Report();
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& far = net.add_host({"far", {"192.0.2.1", "192.0.2.2"}});
  sim::SimHost* host = nullptr;
  std::unique_ptr<stun::Server> server;
  Duration took{0};
};

using Routers = std::vector<std::optional<IpAddress>>;

TEST(HopProbe, TheOnlyNatIsKnownThoughItSpeaksNoProtocolAtAll) {
  Street street(std::vector<BoxOnTheWay>{{"192.168.1.1", "203.0.113.7"}});
  const auto facts = street.look();
  EXPECT_EQ(facts.routers, (Routers{ip("192.168.1.1")}));
  EXPECT_EQ(facts.passed_count, 0U);
  EXPECT_EQ(facts.first_has_mapped, true);
  EXPECT_LT(street.took, 1s);
  const auto report = street.survey();
  EXPECT_EQ(report.position, Position::home_nat);
  EXPECT_EQ(nat_layers(report).count, 1);
  EXPECT_LT(report.took, 2s);
}

TEST(HopProbe, ACarriersNatIsSeenBehindASilentRouter) {
  Street street({{"192.168.1.1", "100.64.0.2"}, {"100.64.0.1", "203.0.113.7"}});
  const auto report = street.survey();
  EXPECT_EQ(report.hops.routers, (Routers{ip("192.168.1.1"), ip("100.64.0.1")}));
  EXPECT_EQ(report.hops.passed_count, 1U);
  EXPECT_EQ(report.hops.first_has_mapped, false);
  EXPECT_EQ(report.position, Position::carrier_nat);
  EXPECT_EQ(nat_layers(report).count, 2);
  EXPECT_NE(nat_layers(report).why.find("100.64.0.1"), std::string::npos);
  EXPECT_NE(advise(report).fix.find("provider"), std::string::npos) << advise(report).fix;
  EXPECT_LT(report.took, 2s);
}

TEST(HopProbe, BeyondAPrivateHopIsANatButWhetherTheFirstRouterIsOneIsNotSaid) {
  const BoxOnTheWay outer{"10.0.0.1", "203.0.113.7"};
  for (const auto* outside : {"10.0.0.2", static_cast<const char*>(nullptr)}) {
    SCOPED_TRACE(outside ? "double NAT" : "routed campus");
    Street street({{"192.168.1.1", outside}, outer});
    const auto report = street.survey();
    EXPECT_EQ(report.hops.routers, (Routers{ip("192.168.1.1"), ip("10.0.0.1")}));
    EXPECT_EQ(report.hops.first_has_mapped, false);
    EXPECT_EQ(report.position, std::nullopt);
    EXPECT_EQ(nat_layers(report).count, std::nullopt);
    EXPECT_NE(nat_layers(report).why.find("a NAT is beyond it"), std::string::npos);
    EXPECT_NE(advise(report).fix.find("beyond the router"), std::string::npos);
  }
}

TEST(HopProbe, APrivateHopOfTheProviderBehindTheNatIsNoSecondNat) {
  for (const auto* inside : {"10.255.0.1", "100.64.0.1"}) {
    Street street({{"192.168.1.1", "203.0.113.7"}, {inside, nullptr}});
    const auto report = street.survey();
    EXPECT_EQ(report.hops.routers, (Routers{ip("192.168.1.1"), ip(inside)}));
    EXPECT_EQ(report.hops.first_has_mapped, true);
    EXPECT_EQ(report.position, Position::home_nat);
  }
}

TEST(HopProbe, WhatARouterThatTellsNothingHidesIsUnknown) {
  Street one({{nullptr, "203.0.113.7"}});
  EXPECT_EQ(one.look().first_has_mapped, std::nullopt);
  Street two({{nullptr, "100.64.0.2"}, {"100.64.0.1", "203.0.113.7"}});
  const auto report = two.survey();
  EXPECT_EQ(report.hops.routers, (Routers{std::nullopt, ip("100.64.0.1")}));
  EXPECT_EQ(report.position, std::nullopt);
  // One further away that sends it on tells of the first too.
  Street three({{nullptr, "100.64.0.2"}, {"100.64.0.1", nullptr}, {nullptr, "203.0.113.7"}});
  const auto facts = three.look();
  EXPECT_EQ(facts.passed_count, 2U);
  EXPECT_EQ(facts.first_has_mapped, false);
}

TEST(HopProbe, AnswersLateRoutersAndDeadServersWithinTheLimit) {
  Street street(std::vector<BoxOnTheWay>{{"192.168.1.1", "203.0.113.7"}});
  EXPECT_EQ(street.look({at("192.0.2.77", 3478)}).first_has_mapped, std::nullopt);
  EXPECT_LE(street.took, HopConfig().limit);
  EXPECT_TRUE(street.look({}).routers.empty());
  EXPECT_EQ(street.took, 0s);
  street.net.set_path(*street.host, street.far, sim::delay_of(2s));
  EXPECT_EQ(street.look().first_has_mapped, std::nullopt);
  EXPECT_LE(street.took, HopConfig().limit);
}

TEST(HopProbe, TheRouterIsAskedForPortsAfterItWasMadeToTellOfHops) {
  for (const bool has_server : {true, false}) {
    Street street(std::vector<BoxOnTheWay>{{"192.168.1.1", "203.0.113.7"}});
    if (!has_server) street.net.partition({street.host}, {&street.far});
    street.host->set_gateways({"192.168.1.1"});
    std::vector<std::string> expired;
    std::optional<TimePoint> asked_at;
    std::size_t expired_before = 0;
    street.net.set_trace([&](const std::string& line) {
      if (line.find("hop limit") != std::string::npos) expired.push_back(line);
      if (line.find("192.168.1.1:5351") == std::string::npos || asked_at) return;
      asked_at = street.world.now();
      expired_before = expired.size();
    });
    const auto report = street.survey();
    ASSERT_TRUE(asked_at);
    EXPECT_EQ(expired_before, has_server ? 1U : 0U);
    EXPECT_LE(asked_at->time_since_epoch(), SurveyConfig().hops_first);
    EXPECT_LT(report.took, 2s);
  }
}

TEST(HopProbe, WithoutANatThereIsNothingToLookFor) {
  sim::TwoHosts hosts;
  stun::ServerConfig config;
  config.udp = {at("5.6.7.8", 3478)};
  stun::Server server(hosts.b, config, Logger("stun", kSilence));
  EXPECT_TRUE(server.start(nullptr));
  HopProbe probe(hosts.a, {at("5.6.7.8", 3478)}, HopConfig());
  const auto [facts] = hosts.world.run(probe.run());
  EXPECT_TRUE(facts->routers.empty());
  EXPECT_EQ(facts->first_has_mapped, std::nullopt);
  EXPECT_EQ(hosts.world.now().time_since_epoch(), 100ms);
  (void)hosts.world.run(probe.stop(), server.stop());
}

TEST(HopProbe, WhateverFailsItEndsAndSaysNothingWrong) {
  std::uint64_t number = 0;
  for (bool has_failed = true; has_failed; ++number) {
    Street street(std::vector<BoxOnTheWay>{{"192.168.1.1", "203.0.113.7"}});
    const auto failing = street.net.operation_count() + number;
    street.net.fail_operation(failing);
    EXPECT_NE(street.look().first_has_mapped, false);
    has_failed = street.net.operation_count() > failing;
  }
  EXPECT_GT(number, 40U);
}

/// What a router says of the datagram to `target` that had `hop` hops.
void expire(HopTrace& trace, Target target, std::size_t hop, const char* from) {
  trace.take(target, hop, {Endpoint(), ip(from), UdpError::Kind::expired});
}

TEST(HopTrace, OneThatPassesItOnAndAPublicHopBeyondMayBeAPortForward) {
  HopTrace trace;
  expire(trace, Target::mapped, 1, "192.168.1.1");
  expire(trace, Target::server, 1, "192.168.1.1");
  expire(trace, Target::server, 2, "198.51.100.1");
  EXPECT_EQ(trace.facts().first_has_mapped, std::nullopt);
  EXPECT_EQ(trace.facts().passed_count, 1U);
  expire(trace, Target::mapped, 2, "198.51.100.1");
  EXPECT_EQ(trace.facts().first_has_mapped, false);
}

TEST(HopTrace, SilenceCountsOnlyBesideAnswers) {
  HopTrace trace;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(trace.facts().first_has_mapped, std::nullopt);
    EXPECT_TRUE(trace.is_wanted(Target::mapped, 1));
    EXPECT_TRUE(trace.is_wanted(Target::server, 1));  // Though it is known: it is the check.
    trace.sent(Target::mapped, 1);
    trace.sent(Target::server, 1);
    expire(trace, Target::server, 1, "192.168.1.1");
  }
  EXPECT_EQ(trace.facts().first_has_mapped, true);
  expire(trace, Target::mapped, 1, "192.168.1.1");  // Late, and it decides.
  EXPECT_EQ(trace.facts().first_has_mapped, std::nullopt);
}

TEST(HopTrace, ARefusalByTheFirstRouterIsAnAnswerToo) {
  const UdpError refusal{at("203.0.113.7", 3478), ip("203.0.113.7"), UdpError::Kind::refused};
  HopTrace trace;
  trace.take(Target::mapped, 1, refusal);
  EXPECT_EQ(trace.facts().first_has_mapped, true);
  EXPECT_FALSE(trace.is_wanted(Target::mapped, 1));
  HopTrace beyond;
  beyond.take(Target::mapped, 2, refusal);
  EXPECT_EQ(beyond.facts().first_has_mapped, std::nullopt);
  HopTrace firewall;
  firewall.take(Target::mapped, 1, {refusal.to, ip("192.168.1.1"), refusal.kind});
  EXPECT_EQ(firewall.facts().first_has_mapped, std::nullopt);
}

TEST(HopTrace, AsksNoRouterMoreThanItAnswers) {
  HopTrace trace;
  EXPECT_TRUE(trace.is_wanted(Target::server, 2));
  expire(trace, Target::server, 2, "10.0.0.1");
  EXPECT_FALSE(trace.is_wanted(Target::server, 2));
  expire(trace, Target::mapped, 1, "192.168.1.1");
  EXPECT_FALSE(trace.is_wanted(Target::mapped, 1));
}

}  // namespace
}  // namespace pyrsia::nat

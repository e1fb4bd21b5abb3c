#include "nat/portmap/test_home.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;
using State = MappingStatus::State;

TEST(Mapper, EachProtocolAloneLetsAStrangerIn) {
  for (const auto method : kMethods) {
    Home home;
    home.use(method);
    EXPECT_FALSE(home.stranger_gets_in("73.1.2.3")) << name(method);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.status().state, State::granted) << name(method) << home.status().words;
    EXPECT_EQ(home.status().method, method);
    EXPECT_EQ(home.status().external, (Endpoint{ip("73.1.2.3"), kPort}));
    EXPECT_EQ(home.count(MappingEvent::Kind::gained), 1U);
    EXPECT_TRUE(home.stranger_gets_in("73.1.2.3")) << name(method);
  }
}

TEST(Mapper, TheBestProtocolOfAllIsUsedAndTheOthersAreReportedAsWell) {
  Home home;
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.status().method, Method::pcp);
  EXPECT_EQ(home.router.table.size(), 1U);
  EXPECT_EQ(home.attempt(Method::nat_pmp), "NAT-PMP, outside address 73.1.2.3, up for 0 s");
  EXPECT_EQ(home.attempt(Method::upnp), "UPnP at 192.168.1.1, outside address 73.1.2.3");
}

TEST(Mapper, AnAnswerIsUsedAfterTheGraceThatABetterOneHas) {
  Home home;
  home.use(Method::upnp);
  home.start();
  home.world.run_for(400ms);
  EXPECT_EQ(home.count(MappingEvent::Kind::gained), 1U);
}

TEST(Mapper, WhatWorkedLastTimeIsNotKeptWaiting) {
  Home home;
  home.use(Method::upnp);
  Memory memory;
  memory.recall = [](const NetworkId&) { return Recalled{Method::upnp, {}}; };
  home.start(std::move(memory));
  home.world.run_for(50ms);
  EXPECT_EQ(home.count(MappingEvent::Kind::gained), 1U);
}

TEST(Mapper, WhatWorksIsRemembered) {
  Home home;
  std::optional<Recalled> remembered;
  Memory memory;
  memory.remember = [&](const NetworkId& network, const Recalled& recalled) {
    EXPECT_EQ(network.gateway.ip, ip("192.168.1.1"));
    remembered = recalled;
  };
  home.start(std::move(memory));
  home.world.run_for(1s);
  ASSERT_TRUE(remembered);
  EXPECT_EQ(remembered->method, Method::pcp);
  EXPECT_EQ(remembered->nonce, home.router.table.begin()->second.nonce);
}

TEST(Mapper, UdpAndTcpAreMappedEachForItself) {
  Home home;
  home.start();
  home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                              {Transport::udp, {IpAddress::v4_any(), kPort}}});
  home.world.run_for(1s);
  EXPECT_TRUE(home.router.table.contains({Transport::tcp, kPort}));
  EXPECT_TRUE(home.router.table.contains({Transport::udp, kPort}));
  home.mapper->set_listeners({{Transport::udp, {IpAddress::v4_any(), kPort}}});
  home.world.run_for(1s);
  EXPECT_FALSE(home.router.table.contains({Transport::tcp, kPort}));
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 1U);
}

TEST(Mapper, ALeaseIsRenewedAtHalfItsLife) {
  for (const auto method : kMethods) {
    Home home;
    home.use(method);
    home.config.check_interval = 10h;
    home.config.lifetime = 600s;
    home.start();
    home.world.run_for(299s);
    EXPECT_EQ(home.metrics.renewed.value(), 0U) << name(method);
    home.world.run_for(80s);  // Half of it, and up to an eighth.
    EXPECT_EQ(home.metrics.renewed.value(), 1U) << name(method);
    home.world.run_for(1h);
    EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U) << name(method);
  }
}

TEST(Mapper, LeasesThatWereMadeAtOnceAreNotRenewedAtOnce) {
  Home home;
  home.config.check_interval = 10h;
  home.config.lifetime = 600s;
  home.start();
  std::vector<Listener> many;
  for (std::uint16_t i = 0; i < 16; ++i)
    many.push_back({Transport::tcp, {IpAddress::v4_any(), static_cast<std::uint16_t>(5000 + i)}});
  home.mapper->set_listeners(many);
  home.world.run_for(338s);
  EXPECT_GE(home.metrics.renewed.value(), 2U);
  EXPECT_LE(home.metrics.renewed.value(), 14U);
}

TEST(Mapper, WhoGrantsASecondIsAskedEveryFourAtMost) {
  for (const auto method : {Method::pcp, Method::nat_pmp}) {
    Home home;
    home.use(method);
    home.config.check_interval = 10h;
    home.router.does.max_lifetime_seconds = 1;
    home.start();
    home.world.run_for(10min);
    const int each = method == Method::pcp ? 1 : 2;  // NAT-PMP tells the address apart.
    EXPECT_LE(home.router.requests, 150 * each + 20) << name(method);
    EXPECT_GE(home.router.requests, 100 * each) << name(method);
    EXPECT_EQ(home.status().state, State::granted) << name(method);
  }
}

TEST(Mapper, WhoGrantsACenturyIsAskedAgainWithinADay) {
  for (const auto method : {Method::pcp, Method::nat_pmp}) {
    Home home;
    home.use(method);
    home.config.check_interval = 100h;
    home.router.does.min_lifetime_seconds = UINT32_MAX;
    home.start();
    home.world.run_for(11h);
    EXPECT_LE(home.status().lifetime_left, 24h);
    EXPECT_EQ(home.metrics.renewed.value(), 0U) << name(method);
    home.world.run_for(5h);
    EXPECT_EQ(home.metrics.renewed.value(), 1U) << name(method);
  }
}

TEST(Mapper, ALeaseThatCannotBeRenewedIsLostWhenItEnds) {
  Home home;
  home.config.lifetime = 600s;
  home.config.check_interval = 10h;
  home.start();
  home.world.run_for(10s);
  home.box.crash();
  home.world.run_for(580s);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U);
  home.world.run_for(30s);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 1U);
  EXPECT_EQ(home.status().state, State::none);
}

TEST(Mapper, ARestartedRouterGetsItsMappingsAgainWithinTheCheckInterval) {
  for (const auto method : kMethods) {
    Home home;
    home.use(method);
    home.start();
    home.world.run_for(200s);
    home.router.restart();
    EXPECT_TRUE(home.router.table.empty());
    home.world.run_for(home.config.check_interval + 3s);
    EXPECT_EQ(home.router.table.size(), 1U) << name(method);
    EXPECT_EQ(home.metrics.router_restarts.value(), method == Method::upnp ? 0U : 1U);
  }
}

TEST(Mapper, AnAnnouncedRestartIsMendedWithinTwoSeconds) {
  Home home;
  home.start();
  home.world.run_for(100s);
  home.router.restart();
  EXPECT_TRUE(home.router.announce(ip("192.168.1.2")));
  home.world.run_for(2s);
  EXPECT_EQ(home.router.table.size(), 1U);
}

TEST(Mapper, AForgedAnnouncementCostsOneQuestionASecondAndNothingElse) {
  Home home;
  home.start();
  home.world.run_for(10s);
  const auto before = home.router.requests;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(home.router.announce(ip("192.168.1.2")));
  home.world.run_for(10s);
  EXPECT_LE(home.router.requests - before, 20);
  EXPECT_EQ(home.metrics.router_restarts.value(), 0U);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U);
}

TEST(Mapper, AClockThatJumpsInEveryAnswerIsNotAskedWithoutPause) {
  for (const auto method : {Method::pcp, Method::nat_pmp}) {
    Home home;
    home.use(method);
    home.router.does.epoch_jump = 1000;
    home.start();
    home.world.run_for(5min);
    EXPECT_EQ(home.status().state, State::granted) << name(method);
    EXPECT_GE(home.metrics.router_restarts.value(), 2U) << name(method);
    EXPECT_LE(home.router.requests, 60) << name(method);
    const auto before = home.router.requests;
    home.world.run_for(1h);
    // That is three or four a minute: it is looked after all the same.
    EXPECT_LE(home.router.requests - before, 240) << name(method);
  }
}

TEST(Mapper, ARouterThatMovesInEveryAnswerIsNotAskedWithoutPause) {
  for (const auto method : {Method::pcp, Method::nat_pmp}) {
    Home home;
    home.use(method);
    home.router.does.moves_always = true;
    home.start();
    home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                                {Transport::udp, {IpAddress::v4_any(), kPort}}});
    home.world.run_for(5min);
    EXPECT_EQ(home.status().state, State::granted) << name(method);
    EXPECT_LE(home.router.requests, 100) << name(method);
  }
}

TEST(Mapper, AnotherOutsideAddressWithoutARestartRenewsEveryMappingAtOnce) {
  for (const auto method : kMethods) {
    for (const bool is_announced : {true, false}) {
      if (is_announced && method == Method::upnp) continue;
      Home home;
      home.use(method);
      home.start();
      home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                                  {Transport::udp, {IpAddress::v4_any(), kPort}}});
      home.world.run_for(20s);
      home.router.external = ip("73.9.9.9");
      if (is_announced) {
        EXPECT_TRUE(home.router.announce(ip("192.168.1.2")));
      }
      home.world.run_for(is_announced ? Duration(2s) : home.config.check_interval + 2s);
      const auto report = home.mapper->report();
      ASSERT_EQ(report.mappings.size(), 2U);
      for (const auto& mapping : report.mappings)
        EXPECT_EQ(mapping.external, (Endpoint{ip("73.9.9.9"), kPort}))
            << name(method) << ": " << mapping.words;
      EXPECT_EQ(home.count(MappingEvent::Kind::changed), 2U) << name(method);
      EXPECT_EQ(home.metrics.router_restarts.value(), 0U) << name(method);
    }
  }
}

TEST(Mapper, AllIsTakenAwayAtTheEnd) {
  for (const auto method : kMethods) {
    Home home;
    home.use(method);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.router.table.size(), 1U);
    home.stop();
    EXPECT_TRUE(home.router.table.empty()) << name(method);
    EXPECT_EQ(home.metrics.removed.value(), 1U);
  }
}

TEST(Mapper, ASilentRouterCostsTheEndItsBudgetAndNoMore) {
  Home home;
  home.start();
  home.world.run_for(3s);
  home.box.crash();
  EXPECT_EQ(home.stop(), home.config.removal_budget);
}

TEST(Mapper, ARouterThatSaysNothingIsGivenUpWithinTheBudget) {
  Home home;
  home.box.crash();
  home.start();
  home.world.run_for(home.config.router.budget + 1ms);
  EXPECT_EQ(home.status().state, State::none);
  EXPECT_EQ(home.status().words,
            "pcp: no answer within 2.0 s; nat-pmp: no answer within 2.0 s; upnp: no answer within "
            "2.0 s");
  // And is asked again later.
  home.box.restart();
  home.world.run(home.router.stop());
  EXPECT_TRUE(home.router.start());
  home.world.run_for(home.config.first_retry);
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(Mapper, WithoutARouterTheAnswerComesAtOnce) {
  Home home;
  home.node.set_gateways({});
  home.start();
  home.world.run_for(1ms);
  EXPECT_EQ(home.mapper->report().words,
            "no router to ask: this machine has no default route with a usable address");
  EXPECT_GE(home.metrics.no_gateway.value(), 1U);
  home.node.set_gateways({"192.168.1.1"});
  home.mapper->network_changed();
  home.world.run_for(1s);
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(Mapper, AfterEveryRefusalOfPcpTheNextProtocolIsTried) {
  for (int code = 1; code <= 14; ++code) {
    Home home;
    home.router.does.pcp_result = static_cast<pcp::ResultCode>(code);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.status().method, Method::nat_pmp) << code;
    EXPECT_NE(home.attempt(Method::pcp).find(name(static_cast<pcp::ResultCode>(code))),
              std::string::npos)
        << home.attempt(Method::pcp);
  }
}

TEST(Mapper, EveryRefusalOfPcpAloneIsSaidInWords) {
  for (int code = 1; code <= 14; ++code) {
    Home home;
    home.config.router.methods = {Method::pcp};
    home.router.does.pcp_result = static_cast<pcp::ResultCode>(code);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.status().state, State::none) << code;
    EXPECT_TRUE(
        home.status().words.starts_with("pcp: " + name(static_cast<pcp::ResultCode>(code)) + ": "))
        << home.status().words;
    EXPECT_GE(home.metrics.refusals.value(), 1U);
  }
}

TEST(Mapper, EveryRefusalOfNatPmpIsSaidInWords) {
  for (int code = 1; code <= 6; ++code) {
    Home home;
    home.config.router.methods = {Method::nat_pmp};
    home.router.does.nat_pmp_result = static_cast<nat_pmp::ResultCode>(code);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.status().state, State::none) << code;
    EXPECT_NE(home.status().words.find(name(static_cast<nat_pmp::ResultCode>(code))),
              std::string::npos)
        << home.status().words;
  }
}

TEST(Mapper, ARefusalIsNotRepeatedAllTheTime) {
  Home home;
  home.config.router.methods = {Method::pcp};
  home.router.does.pcp_result = pcp::ResultCode::not_authorized;
  home.start();
  home.world.run_for(3s);
  const auto before = home.router.requests;
  home.world.run_for(1h);
  EXPECT_LE(home.router.requests - before, 30);
}

TEST(Mapper, ASilentRouterOfOneFamilyKeepsTheOtherNotWaiting) {
  for (const bool is_v6_silent : {true, false}) {
    Home home;
    home.node.set_addresses({"192.168.1.2", "2a00::2"});
    home.node.set_gateways({"192.168.1.1", "2a00::1"});
    home.box.set_addresses({"192.168.1.1", "2a00::1"});
    FakeRouter v6(home.box, ip("2a00::1"), ip("2a00::1"), forward_on(home.nat));
    ASSERT_TRUE(v6.start());
    for (auto* router : {&home.router, &v6})
      router->does.speaks_nat_pmp = router->does.speaks_upnp = false;
    (is_v6_silent ? v6 : home.router).does.speaks_pcp = false;
    home.start();
    home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                                {Transport::tcp, {IpAddress::v6_any(), kPort}}});
    home.world.run_for(500ms);
    EXPECT_EQ(home.count(MappingEvent::Kind::gained), 1U) << is_v6_silent;
    home.stop();
    home.world.run(v6.stop());
  }
}

TEST(Mapper, ASilentRouterCostsItsBudgetOnceHoweverManyPortsThereAre) {
  Home home;
  home.box.crash();
  home.start();
  std::vector<Listener> many;
  for (std::uint16_t i = 0; i < 16; ++i)
    many.push_back({Transport::tcp, {IpAddress::v4_any(), static_cast<std::uint16_t>(5000 + i)}});
  home.mapper->set_listeners(many);
  home.world.run_for(home.config.router.budget + 1ms);
  const auto report = home.mapper->report();
  ASSERT_EQ(report.mappings.size(), 16U);
  for (const auto& each : report.mappings) EXPECT_EQ(each.state, State::none) << each.words;
}

TEST(Mapper, ARouterThatSpeaksNatPmpOnlyIsUnderstoodToSaySo) {
  Home home;
  home.router.does.speaks_pcp = false;
  home.router.does.speaks_upnp = false;
  home.start();
  home.world.run_for(3s);
  EXPECT_EQ(home.attempt(Method::pcp), "the router speaks version 0, which is NAT-PMP");
  EXPECT_EQ(home.status().method, Method::nat_pmp);
}

TEST(Mapper, AnAnswerWithAnotherNonceIsNoAnswer) {
  Home home;
  home.router.does.has_wrong_nonce = true;
  home.config.router.methods = {Method::pcp};
  home.start();
  home.world.run_for(5s);
  EXPECT_EQ(home.status().state, State::none);
  EXPECT_GE(home.metrics.answers_discarded.value(), 1U);
}

TEST(Mapper, AnOutsideAddressThatCannotBeIsALie) {
  for (const auto* lie : {"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255"}) {
    Home home;
    home.router.external = ip(lie);
    home.start();
    home.world.run_for(3s);
    EXPECT_EQ(home.status().state, State::none) << lie;
    const bool is_down = std::string_view(lie) == "0.0.0.0";
    EXPECT_EQ(home.status().words,
              "192.168.1.1 says that its outside address is " + std::string(lie) +
                  (is_down ? ": its way to the Internet is down" : ", which cannot be"));
    EXPECT_GE(home.metrics.lies.value(), 1U);
    EXPECT_TRUE(home.events.empty());
    EXPECT_TRUE(home.router.table.empty()) << lie;  // What is of no use is given back.
    home.world.run_for(5min);
    home.stop();
    EXPECT_TRUE(home.router.table.empty()) << lie;
  }
}

TEST(Mapper, TheGrantedPortIsTold) {
  Home home;
  home.router.does.port_offset = 7;
  home.start();
  home.world.run_for(1s);
  EXPECT_EQ(home.status().external, (Endpoint{ip("73.1.2.3"), kPort + 7}));
}

TEST(Mapper, AMappingCountsOnceADialBackCameThrough) {
  Home home;
  home.start();
  home.world.run_for(1s);
  const Endpoint external{ip("73.1.2.3"), kPort};
  home.mapper->judge(Transport::udp, external, true);
  EXPECT_EQ(home.status().state, State::granted);
  home.mapper->judge(Transport::tcp, external, true);
  EXPECT_EQ(home.status().state, State::confirmed);
  EXPECT_EQ(home.status().words,
            "192.168.1.1 maps it to 73.1.2.3:44000 by pcp; a dial-back came through");
}

TEST(Mapper, AFailedDialBackIsPutDownToTheHopThatFails) {
  Home home;
  home.router.does.does_nothing = true;
  home.start();
  home.world.run_for(1s);
  home.mapper->judge(Transport::tcp, {ip("73.1.2.3"), kPort}, false);
  EXPECT_EQ(home.status().state, State::broken);
  home.mapper->set_observed({ip("73.1.2.3")});
  EXPECT_NE(home.status().words.find("it is 192.168.1.1 that does not do what it says"),
            std::string::npos)
      << home.status().words;
  home.mapper->set_observed({ip("8.8.8.8")});
  EXPECT_NE(home.status().words.find("another router is beyond 192.168.1.1"), std::string::npos);
}

TEST(Mapper, AnotherNetworkIsServedWithinTwoSeconds) {
  Home home;
  auto& second = home.net.add_nat(nat_config("73.9.9.9"));
  auto& other = home.net.add_host({.name = "b", .addresses = {"192.168.7.1"}, .behind = &second});
  FakeRouter router(other, ip("192.168.7.1"), ip("73.9.9.9"), forward_on(second));
  ASSERT_TRUE(router.start());
  home.start();
  home.world.run_for(5s);
  home.node.set_gateways({"192.168.7.1"});
  home.node.set_addresses({"192.168.7.2"});
  home.mapper->network_changed();
  home.world.run_for(1ms);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 1U);
  // The simulated node is still plugged in at home: its new router is out of reach for it.
  home.world.run_for(2s);
  EXPECT_EQ(home.status().state, State::none);
  home.node.set_gateways({"192.168.1.1"});
  home.node.set_addresses({"192.168.1.5"});
  home.mapper->network_changed();
  home.world.run_for(2s);
  EXPECT_EQ(home.status().state, State::granted);
  home.world.run(router.stop());
}

TEST(Mapper, AChangeOfNetworkEndsTheSearchInTheOldOne) {
  Home home;
  home.box.crash();
  home.start();
  home.world.run_for(1s);
  home.node.set_gateways({});
  home.mapper->network_changed();
  home.world.run_for(1ms);
  EXPECT_TRUE(home.mapper->report().mappings.empty());
}

/// A home behind a second router, which maps as well.
struct NestedHome : Home {
  explicit NestedHome(Method method) : Home("73.4.4.4") {
    second.does.speaks_pcp = method == Method::pcp;
    second.does.speaks_nat_pmp = method == Method::nat_pmp;
    second.does.speaks_upnp = method == Method::upnp;
    EXPECT_TRUE(second.start());
  }
  ~NestedHome() override { world.run(second.stop()); }

  sim::SimHost& second_box =
      net.add_host({.name = "cgn", .addresses = {"100.64.0.1"}, .behind = carrier});
  FakeRouter second{second_box, ip("100.64.0.1"), ip("73.4.4.4"), forward_on(*carrier)};
};

TEST(Mapper, ASecondRouterBehindTheFirstIsAskedAsWell) {
  for (const auto method : kMethods) {
    NestedHome home(method);
    home.start();
    home.world.run_for(4s);
    EXPECT_EQ(home.status().external, (Endpoint{ip("73.4.4.4"), kPort})) << home.status().words;
    EXPECT_EQ(home.status().routers, (std::vector{ip("192.168.1.1"), ip("100.64.0.1")}));
    EXPECT_EQ(home.metrics.nested.value(), 1U);
    EXPECT_TRUE(home.stranger_gets_in("73.4.4.4")) << name(method);
    home.stop();
    EXPECT_TRUE(home.second.table.empty());
    EXPECT_TRUE(home.router.table.empty());
  }
}

TEST(Mapper, WhereTheFirstRouterIsLostTheSecondIsToldToo) {
  for (const auto method : kMethods) {
    NestedHome home(method);
    home.router.does.max_lifetime_seconds = 120;
    home.config.check_interval = 10h;
    home.start();
    home.world.run_for(4s);
    ASSERT_EQ(home.second.table.size(), 1U) << name(method);
    home.box.crash();
    home.world.run_for(130s);
    EXPECT_EQ(home.count(MappingEvent::Kind::lost), 1U) << name(method);
    EXPECT_TRUE(home.second.table.empty()) << name(method);
  }
}

TEST(Mapper, WhereTheSecondRouterIsLostTheFirstIsToldToo) {
  NestedHome home(Method::pcp);
  home.second.does.max_lifetime_seconds = 120;
  home.config.check_interval = 10h;
  home.start();
  home.world.run_for(4s);
  ASSERT_EQ(home.router.table.size(), 1U);
  home.second_box.crash();
  home.world.run_for(122s);
  EXPECT_EQ(home.count(MappingEvent::Kind::lost), 1U);
  EXPECT_TRUE(home.router.table.empty());
}

TEST(Mapper, ASecondRouterKnowsUsStillAfterAnotherSearch) {
  for (const auto method : kMethods) {
    NestedHome home(method);
    home.config.lifetime = 600s;
    home.config.check_interval = 10h;
    home.start();
    home.world.run_for(4s);
    home.router.does.pcp_result = pcp::ResultCode::network_failure;  // Only until the next try.
    home.world.run_for(376s);
    EXPECT_GE(home.metrics.renewals_failed.value(), 1U) << name(method);
    home.router.does.pcp_result = pcp::ResultCode::success;
    home.world.run_for(15min);
    EXPECT_EQ(home.status().external, (Endpoint{ip("73.4.4.4"), kPort})) << home.status().words;
    EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U) << name(method);
    home.stop();
    EXPECT_TRUE(home.second.table.empty()) << name(method);
  }
}

TEST(Mapper, ASecondRouterIsToldOfAnotherAddressBetweenTheTwo) {
  NestedHome home(Method::pcp);
  home.start();
  home.world.run_for(4s);
  EXPECT_EQ(home.second.last_client, ip("100.64.0.2"));
  home.router.external = ip("100.64.0.7");
  home.world.run_for(home.config.check_interval + 5s);
  EXPECT_EQ(home.second.last_client, ip("100.64.0.7"));
}

TEST(Mapper, MappingsAreTakenAwayWhileTheirRouterIsSearchedAnew) {
  for (const auto method : kMethods) {
    Home home;
    home.use(method);
    home.config.lifetime = 600s;
    home.config.check_interval = 10h;
    home.start();
    home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                                {Transport::udp, {IpAddress::v4_any(), kPort}}});
    home.world.run_for(4s);
    home.box.crash();
    home.world.run_for(380s);
    EXPECT_GE(home.metrics.renewals_failed.value(), 1U) << name(method);
    ASSERT_EQ(home.router.table.size(), 2U);
    home.box.restart();
    ASSERT_TRUE(home.router.start());
    home.stop();
    EXPECT_TRUE(home.router.table.empty()) << name(method);
  }
}

TEST(Mapper, ACarriersNatWithoutAnAnswerMakesTheMappingUseless) {
  Home home("73.4.4.4");
  home.start();
  home.world.run_for(5s);
  EXPECT_EQ(home.status().state, State::useless);
  EXPECT_TRUE(home.status().words.starts_with(
      "192.168.1.1 maps it to 100.64.0.2:44000 by pcp, an address of the provider's own NAT"))
      << home.status().words;
  EXPECT_TRUE(home.events.empty());
}

TEST(Mapper, ManyListenersAreBounded) {
  Home home;
  home.start();
  std::vector<Listener> many;
  for (std::uint16_t i = 0; i < 100; ++i)
    many.push_back({Transport::tcp, {IpAddress::v4_any(), static_cast<std::uint16_t>(5000 + i)}});
  home.mapper->set_listeners(many);
  home.world.run_for(5s);
  EXPECT_EQ(home.router.table.size(), home.config.max_listeners);
  EXPECT_EQ(home.metrics.ports_over_limit.value(), 100 - home.config.max_listeners);
}

TEST(Mapper, AGlobalIpv6AddressGetsAPinhole) {
  Home home;
  home.node.set_addresses({"2a00::2"});
  home.node.set_gateways({"2a00::1"});
  home.box.set_addresses({"2a00::1"});
  FakeRouter router(home.box, ip("2a00::1"), ip("2a00::1"), forward_on(home.nat));
  ASSERT_TRUE(router.start());
  home.start();
  home.mapper->set_listeners({{Transport::tcp, {ip("2a00::2"), kPort}}});
  home.world.run_for(3s);
  EXPECT_EQ(home.status().external, (Endpoint{ip("2a00::2"), kPort})) << home.status().words;
  EXPECT_EQ(home.status().method, Method::pcp);
  home.stop();
  EXPECT_TRUE(router.table.empty());
  home.world.run(router.stop());
}

/// Breaks each network operation in turn, the router's own included, until none is left to break.
TEST(Mapper, WhateverFailsOnceIsMendedLater) {
  for (const auto method : kMethods) {
    bool was_broken = true;
    for (std::uint64_t failing = 0; was_broken && failing < 500; ++failing) {
      Home home;
      home.use(method);
      const auto broken = home.net.operation_count() + failing;
      home.net.fail_operation(broken);
      home.config.first_retry = 3s;
      home.config.check_interval = 20s;
      home.start();
      home.world.run_for(15s);
      EXPECT_EQ(home.status().state, State::granted)
          << name(method) << " " << failing << ": " << home.status().words;
      EXPECT_LE(home.stop(), home.config.removal_budget);
      was_broken = home.net.operation_count() > broken;
    }
    EXPECT_FALSE(was_broken) << name(method);
  }
}

}  // namespace
}  // namespace pyrsia::portmap

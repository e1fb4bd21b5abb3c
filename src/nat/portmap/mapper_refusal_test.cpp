// What routers refuse: whom that is about, and for how long.
#include "nat/portmap/test_home.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;
using State = MappingStatus::State;

/// Three ports, the middle one of which PCP refuses for a reason of its own.
struct Choosy : Home {
  explicit Choosy(pcp::ResultCode result) {
    router.does.pcp_result = result;
    router.does.pcp_refused_port = kPort + 1;
    start();
    mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                           {Transport::tcp, {IpAddress::v4_any(), kPort + 1}},
                           {Transport::tcp, {IpAddress::v4_any(), kPort + 2}}});
    world.run_for(std::chrono::seconds(4));
  }
  std::vector<std::optional<Method>> methods() const {
    std::vector<std::optional<Method>> out;
    for (const auto& each : mapper->report().mappings) out.push_back(each.method);
    return out;
  }
};

TEST(MapperRefusal, ARefusalIsAboutTheOnePortThatWasAskedFor) {
  for (const auto result :
       {pcp::ResultCode::cannot_provide_external, pcp::ResultCode::user_ex_quota,
        pcp::ResultCode::not_authorized, pcp::ResultCode::no_resources}) {
    Choosy home(result);
    const std::vector<std::optional<Method>> expected{Method::pcp, Method::nat_pmp, Method::pcp};
    EXPECT_EQ(home.methods(), expected) << name(result);
    // Each is renewed, made again and taken away by the protocol that made it.
    home.world.run_for(3h);
    EXPECT_EQ(home.methods(), expected) << name(result);
    EXPECT_EQ(home.metrics.renewals_failed.value(), 0U);
    home.router.restart();
    home.world.run_for(home.config.check_interval + 6s);
    EXPECT_EQ(home.router.table.size(), 3U) << name(result);
    EXPECT_EQ(home.methods(), expected) << name(result);
    EXPECT_EQ(home.count(MappingEvent::Kind::lost), 0U);
    home.stop();
    EXPECT_TRUE(home.router.table.empty()) << name(result);
  }
}

TEST(MapperRefusal, ARestartIsSeenThoughTheBestProtocolRefusesAll) {
  Home home;
  home.router.does.pcp_result = pcp::ResultCode::not_authorized;
  home.start();
  home.world.run_for(200s);
  EXPECT_EQ(home.status().method, Method::nat_pmp);
  home.router.restart();
  home.world.run_for(home.config.check_interval + 3s);
  EXPECT_EQ(home.router.table.size(), 1U);
  EXPECT_EQ(home.metrics.router_restarts.value(), 1U);
}

/// Only PCP is spoken, and what it refuses it says it will for so long.
struct Refusing : Home {
  explicit Refusing(std::uint32_t seconds) {
    use(Method::pcp);
    router.does.pcp_result = pcp::ResultCode::user_ex_quota;
    router.does.pcp_error_seconds = seconds;
    start();
    world.run_for(std::chrono::seconds(4));
    EXPECT_EQ(router.pcp_maps, 1);
    EXPECT_EQ(status().state, State::none);
  }
};

TEST(MapperRefusal, ARefusalHoldsForAsLongAsTheRouterSays) {
  Refusing home(600);
  home.router.does.pcp_result = pcp::ResultCode::success;
  home.world.run_for(590s);
  EXPECT_EQ(home.router.pcp_maps, 1);
  EXPECT_TRUE(home.status().words.starts_with("pcp: USER_EX_QUOTA: ")) << home.status().words;
  home.world.run_for(15min);  // Our own pauses are longer by now.
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(MapperRefusal, ARefusalSilencesNobodyForEver) {
  Refusing home(UINT32_MAX);
  home.router.does.pcp_result = pcp::ResultCode::success;
  home.world.run_for(29min);
  EXPECT_EQ(home.router.pcp_maps, 1);
  home.world.run_for(31min);
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(MapperRefusal, ARefusalOfOnePortIsNoneOfAnother) {
  Refusing home(1800);
  home.router.does.pcp_refused_port = kPort;
  home.mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}},
                              {Transport::udp, {IpAddress::v4_any(), kPort + 1}}});
  home.world.run_for(5s);
  EXPECT_EQ(home.router.pcp_maps, 2);
  EXPECT_TRUE(home.router.table.contains({Transport::udp, kPort + 1}));
}

TEST(MapperRefusal, ARefusalEndsWithARestartOfTheRouter) {
  Refusing home(1800);
  home.world.run_for(60s);
  home.router.does.pcp_result = pcp::ResultCode::success;
  home.router.restart();
  EXPECT_TRUE(home.router.announce(ip("192.168.1.2")));
  home.world.run_for(10s);
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(MapperRefusal, ForgedWordOfARestartEndsNoRefusal) {
  Refusing home(1800);
  home.world.run_for(60s);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(home.router.announce(ip("192.168.1.2")));
    home.world.run_for(1s);
  }
  EXPECT_EQ(home.router.pcp_maps, 1);
}

TEST(MapperRefusal, ARefusalEndsWithAChangeOfTheNetwork) {
  Refusing home(1800);
  home.router.does.pcp_result = pcp::ResultCode::success;
  home.mapper->network_changed();
  home.world.run_for(2min);  // Our own pause.
  EXPECT_EQ(home.status().state, State::granted);
}

TEST(MapperRefusal, ANatBetweenUsAndTheRouterIsSaidInWords) {
  Home home;
  home.use(Method::pcp);
  home.router.does.sees_another_client = true;
  home.start();
  home.world.run_for(4s);
  EXPECT_NE(home.status().words.find("another NAT is between"), std::string::npos)
      << home.status().words;
  const auto attempts = home.mapper->report().attempts;
  const auto pcp = std::ranges::find(attempts, Method::pcp, &Attempt::method);
  ASSERT_NE(pcp, attempts.end());
  EXPECT_TRUE(pcp->has_nat_between);
}

}  // namespace
}  // namespace pyrsia::portmap

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

}  // namespace
}  // namespace pyrsia::portmap

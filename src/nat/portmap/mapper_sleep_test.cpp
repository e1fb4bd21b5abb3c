// A machine that was asleep: its clock stood still, that of the router did not.
#include "nat/portmap/test_home.hpp"

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;

const Listener kTcp{Transport::tcp, {IpAddress::v4_any(), kPort}};
const Listener kUdp{Transport::udp, {IpAddress::v4_any(), kPort}};

void sleep_all(Home& home, Duration duration) {
  home.node.sleep(duration);
  home.box.sleep(duration);
}

TEST(MapperSleep, ASleepIsNoRestartOfTheRouter) {
  for (const auto method : {Method::pcp, Method::nat_pmp}) {
    Home home;
    home.use(method);
    home.start();
    home.world.run_for(90s);
    sleep_all(home, 8h);
    home.mapper->network_changed();
    home.world.run_for(3min);
    EXPECT_EQ(home.metrics.router_restarts.value(), 0U) << name(method);
    EXPECT_EQ(home.status().state, MappingStatus::State::granted) << name(method);
  }
}

TEST(MapperSleep, ARestartMeanwhileIsSeen) {
  Home home;
  home.use(Method::nat_pmp);
  home.start();
  home.world.run_for(90s);
  sleep_all(home, 8h);
  home.router.restart();
  home.mapper->network_changed();
  home.world.run_for(2s);
  EXPECT_EQ(home.metrics.router_restarts.value(), 1U);
  EXPECT_EQ(home.router.table.size(), 1U);
}

TEST(MapperSleep, LeasesAreAsOldAsTheRouterHasThemAndAreRenewedAtOnce) {
  for (const auto method : {Method::pcp, Method::nat_pmp, Method::upnp}) {
    Home home;
    home.use(method);
    home.start();
    home.mapper->set_listeners({kTcp, kUdp});
    home.world.run_for(10s);
    ASSERT_EQ(home.router.table.size(), 2U) << name(method);
    const auto before = home.metrics.renewed.value();
    sleep_all(home, 90min);  // Longer than half of what was granted.
    home.mapper->network_changed();
    home.world.run_for(2s);
    EXPECT_EQ(home.metrics.renewed.value() - before, 2U) << name(method);
  }
}

TEST(MapperSleep, WhatIsLeftOfALeaseIsToldWithTheSleepTakenOff) {
  Home home;
  home.use(Method::nat_pmp);
  home.start();
  home.world.run_for(10s);
  sleep_all(home, 20min);
  home.mapper->network_changed();
  home.world.run_for(2s);
  EXPECT_LT(home.status().lifetime_left, 100min);
  EXPECT_GT(home.status().lifetime_left, 99min);
}

}  // namespace
}  // namespace pyrsia::portmap

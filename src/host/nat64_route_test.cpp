#include "host/nat64_route.hpp"

#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;

const LogSink kNoLog;
const auto kV4 = IpAddress::v4({1, 2, 3, 10});
const IpAddress kWellKnown = *IpAddress::parse("64:ff9b::");

class Nat64RouteTest : public testing::Test {
 protected:
  void begin(std::vector<std::string> addresses) {
    machine = &network.add_host({.name = "node", .addresses = std::move(addresses)});
    route.emplace(*machine, Logger("nat64", kNoLog));
  }
  std::string learned(std::vector<AdvertisedNat64> advertised) {
    auto [done] = world.run(route->learn(std::move(advertised)));
    EXPECT_TRUE(done) << done.error();
    const auto v6 = route->synthesize(kV4);
    return v6 ? v6->to_string() : "";
  }

  sim::World world;
  sim::Network network{world};
  sim::SimHost* machine = nullptr;
  std::optional<Nat64Route> route;
};

TEST_F(Nat64RouteTest, IsLearnedFromTheResolver) {
  begin({"2600::1"});
  network.dns().add("ipv4only.arpa", {"192.0.0.170", "64:ff9b::c000:aa"});
  EXPECT_EQ(learned({}), "64:ff9b::102:30a");
}

TEST_F(Nat64RouteTest, IsLearnedFromRoutersFirst) {
  begin({"2600::1"});
  network.dns().fail_all(Errc::unavailable);
  const AdvertisedNat64 advertised{*IpAddress::parse("2001:db8:100::"), 40, 30min};
  EXPECT_EQ(learned({advertised}), "2001:db8:101:203:a::");
}

TEST_F(Nat64RouteTest, IsNotTakenWhereThereIsIPv4) {
  network.dns().add("ipv4only.arpa", {"64:ff9b::c000:aa"});
  begin({"2600::1", "5.6.7.8"});
  EXPECT_EQ(learned({{kWellKnown, 96, 30min}}), "");
  begin({"2600::2", "192.168.0.2"});
  machine->set_gateways({"192.168.0.1"});
  EXPECT_EQ(learned({{kWellKnown, 96, 30min}}), "");
}

TEST_F(Nat64RouteTest, ABridgeOfContainersIsNoWayToIPv4) {
  begin({"2600::1", "172.17.0.1"});
  machine->set_gateways({"fe80::1"});
  EXPECT_EQ(learned({{kWellKnown, 96, 30min}}), "64:ff9b::102:30a");
}

TEST_F(Nat64RouteTest, IsForgottenWithItsNetwork) {
  begin({"2600::1"});
  EXPECT_EQ(learned({{kWellKnown, 96, 30min}}), "64:ff9b::102:30a");
  EXPECT_EQ(learned({}), "");
}

TEST_F(Nat64RouteTest, AResolverThatIsSilentCostsASecond) {
  begin({"2600::1"});
  network.dns().set_delay(1min);
  EXPECT_EQ(learned({}), "");
  EXPECT_EQ(world.now(), TimePoint(1s));
  EXPECT_TRUE(route->is_unanswered());
}

TEST_F(Nat64RouteTest, IsKeptWhileTheResolverIsSilent) {
  begin({"2600::1"});
  network.dns().add("ipv4only.arpa", {"64:ff9b::c000:aa"});
  EXPECT_EQ(learned({}), "64:ff9b::102:30a");
  network.dns().set_delay(1min);
  EXPECT_EQ(learned({}), "64:ff9b::102:30a");
  EXPECT_TRUE(route->is_unanswered());
  network.dns().set_delay(0s);
  EXPECT_EQ(learned({}), "64:ff9b::102:30a");
  EXPECT_FALSE(route->is_unanswered());
}

}  // namespace
}  // namespace pyrsia::host

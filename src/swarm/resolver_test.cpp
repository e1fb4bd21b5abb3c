#include "swarm/resolver.hpp"

#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/dnsaddr.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

class ResolverTest : public testing::Test {
 protected:
  Result<std::vector<Multiaddr>> resolved(const std::string& text) {
    auto [found] = world.run(resolve(host, address(text), peer, budget));
    if (!found) return found.error();
    std::vector<Multiaddr> addresses;
    for (const auto& each : *found) addresses.push_back(each.address);
    return addresses;
  }
  /// The name that is kept beside each address.
  std::vector<std::string> names(const std::string& text) {
    auto [found] = world.run(resolve(host, address(text), peer, budget));
    std::vector<std::string> out;
    for (const auto& each : found.value()) out.push_back(each.name);
    return out;
  }
  std::string p2p() const { return "/p2p/" + peer.to_string(); }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host = net.add_host({"a", {"1.2.3.4"}, nullptr, 0ms});
  PeerId peer = test_key(1).peer_id();
  PeerId other = test_key(2).peer_id();
  ResolveBudget budget;
};

TEST_F(ResolverTest, ANameBecomesItsAddressesOfTheFamilyAskedFor) {
  net.dns().add("a.example.org", {"5.6.7.8", "2600::2"});
  EXPECT_EQ(*resolved("/dns4/a.example.org/tcp/1"), (std::vector{address("/ip4/5.6.7.8/tcp/1")}));
  EXPECT_EQ(*resolved("/dns6/a.example.org/tcp/1"), (std::vector{address("/ip6/2600::2/tcp/1")}));
  EXPECT_EQ(resolved("/dns/a.example.org/tcp/1")->size(), 2U);
  EXPECT_EQ(resolved("/dns4/nobody.example.org/tcp/1").error(), Errc::not_found);
  EXPECT_EQ(*resolved("/ip4/5.6.7.8/tcp/1"), (std::vector{address("/ip4/5.6.7.8/tcp/1")}));
}

TEST_F(ResolverTest, TheNameStaysForWhoAsksTheServerForIt) {
  net.dns().add("a.example.org", {"5.6.7.8"});
  net.dns().add_txt("_dnsaddr.example.org", {"dnsaddr=/dns4/a.example.org/tcp/3/wss" + p2p()});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/dns4/a.example.org/tcp/1/wss", "/ip4/5.6.7.8/tcp/1/tls/sni/a.example.org/ws"},
      {"/dns/a.example.org/tcp/1/tls/ws", "/ip4/5.6.7.8/tcp/1/tls/sni/a.example.org/ws"},
      {"/dns4/a.example.org/tcp/1/tls/sni/b.example.org/ws",
       "/ip4/5.6.7.8/tcp/1/tls/sni/b.example.org/ws"},
      {"/dns4/a.example.org/tcp/1/ws", "/ip4/5.6.7.8/tcp/1/ws"},
      {"/dnsaddr/example.org" + p2p(), "/ip4/5.6.7.8/tcp/3/tls/sni/a.example.org/ws"},
  };
  for (const auto& [from, to] : cases) {
    EXPECT_EQ(*resolved(from), (std::vector{address(to)})) << from;
    EXPECT_EQ(names(from), (std::vector<std::string>{"a.example.org"})) << from;
  }
  EXPECT_EQ(names("/ip4/5.6.7.8/tcp/1/wss"), (std::vector<std::string>{""}));
}

TEST_F(ResolverTest, DnsaddrIsFollowedAndFilteredByPeer) {
  net.dns().add("a.example.org", {"5.6.7.8"});
  net.dns().add_txt(
      "_dnsaddr.example.org",
      {"dnsaddr=/ip4/1.1.1.1/tcp/1" + p2p(), "dnsaddr=/ip4/2.2.2.2/tcp/2/p2p/" + other.to_string(),
       "v=spf1 -all", "dnsaddr=garbage", "dnsaddr=/dnsaddr/deeper.example.org" + p2p(),
       "dnsaddr=/ip4/4.4.4.4/tcp/4"});
  net.dns().add_txt("_dnsaddr.deeper.example.org", {"dnsaddr=/dns4/a.example.org/tcp/3" + p2p()});
  const std::vector expected{address("/ip4/1.1.1.1/tcp/1"), address("/ip4/5.6.7.8/tcp/3")};
  EXPECT_EQ(*resolved("/dnsaddr/example.org" + p2p()), expected);
  EXPECT_EQ(budget.lookups, 29);
}

// Break each lookup in turn: what the others found counts.
TEST_F(ResolverTest, ALookupThatFailsCostsOnlyItsOwnAddresses) {
  net.dns().add("a.example.org", {"5.6.7.8"});
  net.dns().add_txt("_dnsaddr.example.org", {"dnsaddr=/ip4/1.1.1.1/tcp/1" + p2p(),
                                             "dnsaddr=/dnsaddr/deeper.example.org" + p2p()});
  net.dns().add_txt("_dnsaddr.deeper.example.org", {"dnsaddr=/ip4/2.2.2.2/tcp/2" + p2p(),
                                                    "dnsaddr=/dns4/a.example.org/tcp/3" + p2p()});
  const std::vector<std::size_t> found{0, 1, 2, 3};
  for (std::uint64_t broken = 0; broken < found.size(); ++broken) {
    SCOPED_TRACE(broken);
    budget = {};
    net.fail_operation(net.operation_count() + broken);
    const auto addresses = resolved("/dnsaddr/example.org" + p2p());
    EXPECT_EQ(addresses ? addresses->size() : 0, found[broken]);
  }
  EXPECT_EQ(net.operation_count(), 1U + 2U + 3U + 3U);
}

TEST_F(ResolverTest, ALoopOfNamesEnds) {
  net.dns().add_txt("_dnsaddr.loop.example.org",
                    {"dnsaddr=/dnsaddr/loop.example.org", "dnsaddr=/dnsaddr/loop.example.org"});
  EXPECT_EQ(resolved("/dnsaddr/loop.example.org").error(), Errc::limit_reached);
  EXPECT_GE(budget.lookups, 0);
}

TEST_F(ResolverTest, AFloodOfRecordsIsCut) {
  std::vector<std::string> records;
  std::vector<std::string> ips;
  for (int i = 0; i < 32; ++i) {
    records.push_back("dnsaddr=/dns4/many.example.org/tcp/" + std::to_string(i + 1));
    ips.push_back("5.6.7." + std::to_string(i));
  }
  net.dns().add("many.example.org", ips);
  net.dns().add_txt("_dnsaddr.example.org", records);
  EXPECT_EQ(resolved("/dnsaddr/example.org")->size(), 100U);
}

TEST_F(ResolverTest, ASwarmDialsByName) {
  net.dns().add("b.example.org", {"5.6.7.8"});
  auto& host_b = net.add_host({"b", {"5.6.7.8"}, nullptr, 0ms});
  TestNode a(host, 1);
  TestNode b(host_b, 2);
  b.listen("/ip4/5.6.7.8/tcp/4001");
  net.dns().add_txt("_dnsaddr.example.org",
                    {"dnsaddr=/dns4/b.example.org/tcp/4001/p2p/" + b.peer().to_string()});
  const DialRequest request{b.peer(),
                            {address("/dnsaddr/example.org/p2p/" + b.peer().to_string())}};
  auto [connected] = world.run(a.swarm.connect(request));
  EXPECT_TRUE(connected) << connected.error();
  const DialRequest unknown{test_key(3).peer_id(), {address("/dns4/nobody.example.org/tcp/1")}};
  auto [failed] = world.run(a.swarm.connect(unknown));
  EXPECT_EQ(failed.error(), Errc::not_found);
  auto [a_stopped, b_stopped] = world.run(a.swarm.stop(), b.swarm.stop());
  EXPECT_TRUE(a_stopped && b_stopped);
}

}  // namespace
}  // namespace pyrsia::swarm

// How a node gets into the network, whatever it is told: documents, peers, a cache, or nothing.
#include "bootstrap/client/cache.hpp"
#include "sim_node.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kBootIp = "1.2.3.10";
const std::string kUrl = "http://boot.pyrsia.test:7888/status";
const std::string kDocumentUrl = "http://web.pyrsia.test:80/status";
constexpr std::uint8_t kBootKey = 1;
constexpr std::uint8_t kNodeKey = 2;

/// A web server that answers every request with one body.
class Web {
 public:
  explicit Web(sim::SimHost& machine)
      : server_(machine, {}, [this](const http::Request&) { return answer(); }, metrics_) {
    EXPECT_TRUE(server_.listen({IpAddress::v4_any(), 80}));
  }
  void set_body(std::string body) { body_ = std::move(body); }
  Task<> stop() { return server_.stop(); }

 private:
  Task<http::Response> answer() {
    http::Response response;
    response.body = body_;
    co_return response;
  }

  std::string body_;
  http::Metrics metrics_;
  http::Server server_;
};

/// A boot server, a web server with documents of our making, and a node.
class Joining : public testing::Test {
 protected:
  Joining() {
    world.set_run_limit(30min);
    sim::PathConfig path;
    path.one_way_delay = 25ms;
    network.set_default_path(path);
    network.dns().add("boot.pyrsia.test", {kBootIp});
    network.dns().add("web.pyrsia.test", {"1.2.3.20"});
    auto [started] = world.run(boot.start());
    EXPECT_TRUE(started) << started.error();
  }
  ~Joining() override {
    if (node) stop(*node);
    if (is_boot_running) stop(boot);
    auto [stopped] = world.run(web.stop());
    EXPECT_TRUE(stopped);
  }

  void start(Config config) {
    node.emplace(machine, kNodeKey, std::move(config));
    auto [started] = world.run(node->start());
    EXPECT_TRUE(started) << started.error();
  }
  void stop(SimNode& which) {
    auto [stopped] = world.run(which.stop());
    EXPECT_TRUE(stopped) << world.deadlock_report();
  }
  void expect_verdict(Reachability status, Duration limit) {
    auto [judged] = world.run(node->wait_for(status, limit));
    EXPECT_TRUE(judged) << judged.error() << ": " << node->host().nat().reason;
  }
  /// The document names these entries; the node knows no other URL.
  void start_with_entries(const std::vector<std::string>& entries) {
    std::string list;
    for (const auto& entry : entries) list += (list.empty() ? "\"" : ",\"") + entry + "\"";
    web.set_body("{\"peers_count\":0,\"peer_id\":\"x\",\"peer_addrs\":[" + list + "]}");
    start(node_config(kDocumentUrl));
  }
  std::string entry(const std::string& ip, std::uint8_t key) const {
    const Endpoint endpoint{*IpAddress::parse(ip), SimNode::kPort};
    return Multiaddr::tcp(endpoint).with_peer(key_of(key).peer_id()).to_string();
  }
  Multiaddr boot_address() const { return *Multiaddr::parse(entry(kBootIp, kBootKey)); }
  bool was_told(const std::string& part) const {
    return std::ranges::any_of(node->events(), [&](const HostEvent& event) {
      const auto* progress = std::get_if<BootstrapProgress>(&event);
      return progress && progress->text.find(part) != std::string::npos;
    });
  }

  sim::World world;
  sim::Network network{world};
  SimNode boot{network.add_host({"boot", {kBootIp}}), kBootKey, boot_config()};
  bool is_boot_running = true;
  Web web{network.add_host({"web", {"1.2.3.20"}})};
  sim::SimHost& machine = network.add_host({"node", {"5.6.7.9"}});
  std::optional<SimNode> node;
};

TEST_F(Joining, ANodeThatIsToldNothingListensAndStaysAlive) {
  Config config = node_config(kUrl);
  config.bootstrap_urls.clear();
  start(config);
  world.run_for(10min);

  EXPECT_FALSE(node->host().listen_addresses().empty());
  EXPECT_EQ(node->host().nat().status, Reachability::unknown);
  EXPECT_NE(node->host().nat().reason, "");
  EXPECT_TRUE(node->host().peers().empty());
}

TEST_F(Joining, AConfiguredPeerIsEnough) {
  Config config = node_config(kUrl);
  config.bootstrap_urls.clear();
  config.peers = {boot_address()};
  start(config);
  expect_verdict(Reachability::reachable, 10s);
}

TEST_F(Joining, AConfiguredProbeServerIsEnough) {
  Config config = node_config(kUrl);
  config.bootstrap_urls.clear();
  config.probe_servers = {boot_address()};
  start(config);
  expect_verdict(Reachability::reachable, 10s);
}

TEST_F(Joining, DeadAndHostileEntriesBeforeAGoodOneOnlyCostTime) {
  start_with_entries({entry("9.9.9.1", 50), entry("9.9.9.2", 51),         // Nobody is there.
                      entry("5.6.7.9", kNodeKey), entry("1.2.3.20", 52),  // We, a web server.
                      entry("10.1.2.3", 53), entry("127.0.0.1", 54),      // Of no use.
                      entry(kBootIp, 55), "/ip4/1.2.3.10/tcp/44000", "no address at all",
                      entry(kBootIp, kBootKey)});
  expect_verdict(Reachability::reachable, 3min);
  EXPECT_FALSE(node->host().peers().empty());
}

TEST_F(Joining, TwoHundredEntriesAreGoneThroughToTheLast) {
  std::vector<std::string> entries;
  for (int i = 0; i < 199; ++i) entries.push_back(entry(kBootIp, std::uint8_t(3 + i)));
  entries.push_back(entry(kBootIp, kBootKey));
  start_with_entries(entries);
  expect_verdict(Reachability::reachable, 2min);
}

TEST_F(Joining, AnotherPeerThanNamedIsNotJoined) {
  start_with_entries({entry(kBootIp, 77)});
  world.run_for(2min);
  EXPECT_TRUE(node->host().peers().empty());
  EXPECT_EQ(node->host().nat().status, Reachability::unknown);
  EXPECT_TRUE(was_told("cannot reach boot peer"));
}

TEST_F(Joining, OurOwnIdAloneIsRefusedInWords) {
  start_with_entries({entry("5.6.7.9", kNodeKey)});
  world.run_for(1min);
  EXPECT_TRUE(was_told("every entry of peer_addrs has our own peer id"));
}

TEST_F(Joining, WhatIsNoDocumentIsRefusedAndAskedForAgain) {
  for (const std::string body :
       {"", "{", "[]", "{\"peer_addrs\":[]}", "{\"peer_addrs\":7}", "<html>busy</html>"}) {
    SCOPED_TRACE(body);
    web.set_body(body);
    start(node_config(kDocumentUrl));
    world.run_for(30s);
    EXPECT_TRUE(was_told("Could not read status from " + kDocumentUrl));
    EXPECT_GT(node->host().counters().at("pyrsia_join_failed_total"), 2U);

    web.set_body("{\"peer_addrs\":[\"" + entry(kBootIp, kBootKey) + "\"]}");
    expect_verdict(Reachability::reachable, 2min);
    stop(*node);
    node.reset();
  }
}

TEST_F(Joining, ABootServerThatComesBackWithAnotherKeyIsJoinedByTheNewDocument) {
  start(node_config(kUrl));
  expect_verdict(Reachability::reachable, 10s);
  boot.machine().kill();
  stop(boot);
  is_boot_running = false;
  world.run_for(5s);
  boot.machine().restart();
  SimNode other(boot.machine(), 9, boot_config());
  auto [started] = world.run(other.start());
  ASSERT_TRUE(started);
  world.run_for(10min);

  const auto peers = node->connected_peers();
  EXPECT_TRUE(std::ranges::find(peers, key_of(9).peer_id()) != peers.end());
  EXPECT_EQ(node->host().nat().status, Reachability::reachable);
  stop(other);
}

TEST_F(Joining, AnotherInterfaceAddressChangesTheConfirmedOne) {
  start(node_config(kUrl));
  expect_verdict(Reachability::reachable, 10s);
  machine.set_addresses({"5.6.7.77"});
  world.run_for(5s);
  EXPECT_EQ(node->host().nat().status, Reachability::reachable) << node->host().nat().reason;
  world.run_for(10min);

  const auto nat = node->host().nat();
  EXPECT_EQ(nat.status, Reachability::reachable) << nat.reason;
  const auto advertised = node->host().advertised_addresses();
  ASSERT_FALSE(advertised.empty());
  EXPECT_EQ(advertised.front().to_string(), "/ip4/5.6.7.77/tcp/44000");
  EXPECT_FALSE(node->host().peers().empty());
}

TEST_F(Joining, AnAnnouncedAddressIsToldAndProbed) {
  auto config = node_config(kUrl);
  config.announce = {*Multiaddr::parse("/ip4/5.6.7.9/tcp/44000")};
  start(config);
  expect_verdict(Reachability::reachable, 10s);
  EXPECT_EQ(node->host().nat().addresses.front().source, "announced");
}

TEST_F(Joining, ClockJumpsChangeNothing) {
  start(node_config(kUrl));
  expect_verdict(Reachability::reachable, 10s);
  for (const auto offset : {24h * 365, -24h * 365, 0h}) {
    machine.set_wall_offset(offset);
    boot.machine().set_wall_offset(-offset);
    world.run_for(3min);
    EXPECT_EQ(node->host().nat().status, Reachability::reachable);
    EXPECT_EQ(node->host().peers().size(), 1U);
  }
  EXPECT_EQ(node->status_changes(), 1U);
}

TEST_F(Joining, ANodeStartsFromItsCacheWhileTheUrlIsDead) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("pyrsia-joining-" + std::to_string(::getpid()));
  auto config = node_config(kUrl);
  config.bootstrap_cache = folder / "bootstrap.json";
  start(config);
  expect_verdict(Reachability::reachable, 10s);
  stop(*node);
  network.dns().remove("boot.pyrsia.test");  // The peer is alive, its document out of reach.

  start(config);
  expect_verdict(Reachability::reachable, 20s);
  EXPECT_TRUE(was_told("Could not read status"));
  stop(*node);

  machine.set_wall_offset(24h * 8);  // By then the cache is too old.
  start(config);
  world.run_for(1min);
  EXPECT_TRUE(node->host().peers().empty());
  std::filesystem::remove_all(folder);
}

/// A network of IPv6 with a boot server and a node, either with IPv4 as well or without.
Reachability verdict_over_v6(const std::vector<std::string>& node_addresses,
                             const std::string& listen) {
  sim::World world;
  sim::Network network(world);
  sim::PathConfig path;
  path.one_way_delay = 25ms;
  network.set_default_path(path);
  network.dns().add("boot.pyrsia.test", {"2a01:4f8::10"});
  auto config = boot_config();
  config.listen = {*Multiaddr::parse("/ip6/::/tcp/44000")};
  SimNode boot(network.add_host({"boot", {"2a01:4f8::10"}}), kBootKey, config);
  config = node_config(kUrl);
  config.listen = {*Multiaddr::parse(listen)};
  if (node_addresses.size() > 1)
    config.listen.push_back(Multiaddr::tcp({IpAddress::v4_any(), 44000}));
  SimNode node(network.add_host({"node", node_addresses}), kNodeKey, config);
  auto [boot_started, started] = world.run(boot.start(), node.start());
  EXPECT_TRUE(boot_started && started);
  world.run_for(20s);
  const auto status = node.host().nat().status;
  auto [node_stopped, stopped] = world.run(node.stop(), boot.stop());
  EXPECT_TRUE(node_stopped && stopped);
  return status;
}

TEST(JoiningOverV6, AnIpv6OnlyNodeLearnsItsStatus) {
  EXPECT_EQ(verdict_over_v6({"2a02:810::5"}, "/ip6/::/tcp/44000"), Reachability::reachable);
}

TEST(JoiningOverV6, ANodeOfBothFamiliesJoinsABootServerOfOne) {
  EXPECT_EQ(verdict_over_v6({"5.6.7.9", "2a02:810::5"}, "/ip6/::/tcp/44000"),
            Reachability::reachable);
}

/// The boot server has the address that the NAT64 makes of its IPv4 address, and stands for both.
TEST(JoiningFromIPv6, PeersAreReachedThroughTheNat64) {
  sim::World world;
  sim::Network network(world);
  network.dns().add("ipv4only.arpa", {"64:ff9b::c000:aa", "64:ff9b::c000:ab"});
  auto as_boot = boot_config();
  as_boot.listen.push_back(Multiaddr::tcp({IpAddress::v6_any(), SimNode::kPort}));
  SimNode boot(network.add_host({"boot", {kBootIp, "64:ff9b::102:30a"}}), kBootKey, as_boot);
  auto as_node = node_config(kUrl);
  as_node.bootstrap_urls.clear();
  as_node.listen = {Multiaddr::tcp({IpAddress::v6_any(), SimNode::kPort})};
  as_node.peers = {Multiaddr::tcp({*IpAddress::parse(kBootIp), SimNode::kPort})
                       .with_peer(key_of(kBootKey).peer_id())};
  SimNode node(network.add_host({"node", {"2600::9"}}), kNodeKey, as_node);
  auto [started, joined] = world.run(boot.start(), node.start());
  ASSERT_TRUE(started && joined);
  auto [judged] = world.run(node.wait_for(Reachability::reachable, 10s));
  EXPECT_TRUE(judged) << node.host().nat().reason;
  const auto paths = node.host().paths(key_of(kBootKey).peer_id());
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front().remote.to_string(), "/ip4/1.2.3.10/tcp/44000");
  auto [node_stopped, boot_stopped] = world.run(node.stop(), boot.stop());
  EXPECT_TRUE(node_stopped && boot_stopped);
}

}  // namespace
}  // namespace pyrsia::test

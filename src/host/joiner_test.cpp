#include "host/joiner.hpp"

#include "sim/host.hpp"
#include "sim/network.hpp"
#include "sim/scripted_web.hpp"
#include "swarm/test_node.hpp"
#include "transport/quic/transport.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;
using Stage = BootstrapProgress::Stage;

const std::string kUrl = "http://boot.example/status";

/// Ends every connection as soon as it is there, as a server does that is full.
struct Bouncer final : swarm::Observer {
  explicit Bouncer(swarm::Swarm& s) : swarm(s) { swarm.add_observer(*this); }
  ~Bouncer() override { swarm.remove_observer(*this); }
  void on_connected(const swarm::ConnectionInfo& connection) override {
    ++count;
    swarm.close_connection(connection.id);
  }

  swarm::Swarm& swarm;
  int count = 0;
};

/// A node at 1.2.3.4 whose joiner is tested, and boot peers from 5.6.7.1 on.
class JoinerTest : public testing::Test {
 protected:
  JoinerTest() {
    net_.set_default_path({.one_way_delay = 20ms});
    node_.emplace(net_.add_host({.name = "node", .addresses = {"1.2.3.4"}}), 1);
    client_config_.urls = {kUrl};
    cache_ = std::filesystem::path(testing::TempDir()) /
             ("pyrsia-joiner-" + std::to_string(::getpid()) + "-" +
              testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove(cache_);
  }
  ~JoinerTest() override {
    if (joiner_) EXPECT_TRUE(std::get<0>(world_.run(joiner_->stop())));
    EXPECT_TRUE(std::get<0>(world_.run(node_->swarm.stop())));
    for (auto& boot : boots_) EXPECT_TRUE(std::get<0>(world_.run(boot->swarm.stop())));
    std::filesystem::remove(cache_);
  }

  /// Where boot peer `number`, from 1 on, is or would be.
  static Multiaddr address_of(std::uint8_t number) {
    const auto ip = "/ip4/5.6.7." + std::to_string(number) + "/tcp/4001";
    return Multiaddr::parse(ip)->with_peer(swarm::test_key(100 + number).peer_id());
  }
  swarm::TestNode& add_boot_peer(std::uint8_t number) {
    const auto ip = "5.6.7." + std::to_string(number);
    auto& machine = net_.add_host({.name = "boot", .addresses = {ip}});
    auto& boot = *boots_.emplace_back(std::make_unique<swarm::TestNode>(machine, 100 + number));
    boot.listen("/ip4/" + ip + "/tcp/4001");
    return boot;
  }
  void add_quic(swarm::TestNode& to) {
    to.swarm.add_transport(
        std::make_unique<transport::quic::Transport>(to.env, to.key, transport::quic::Config()));
  }
  void publish(const std::vector<std::uint8_t>& numbers) {
    std::string list;
    for (const auto number : numbers)
      list += (list.empty() ? "\"" : ",\"") + address_of(number).to_string() + "\"";
    web_.pages[kUrl].body = R"({"peer_addrs":[)" + list + "]}";
  }
  void start(JoinerConfig config, bool has_client = true) {
    if (has_client)
      client_.emplace(web_, client_config_, classifier_, node_->peer(),
                      Logger("bootstrap", swarm::kNoLog), metrics_, nullptr);
    Joiner::Callbacks callbacks{
        .on_progress = [this](const BootstrapProgress& one) { progress_.push_back(one); },
        .on_boot_peer = [this](const bootstrap::BootPeer& one) { told_.push_back(one.peer); }};
    joiner_.emplace(node_->swarm, std::move(config), has_client ? &*client_ : nullptr,
                    std::move(callbacks), Logger("bootstrap", swarm::kNoLog));
    joiner_->start();
  }
  std::size_t connected() const { return node_->swarm.peer_count(); }
  std::ptrdiff_t count(Stage stage) const {
    return std::ranges::count(progress_, stage, &BootstrapProgress::stage);
  }

  sim::World world_;
  sim::Network net_{world_};
  sim::ScriptedWeb web_{world_};
  AddressClassifier classifier_;
  bootstrap::ClientConfig client_config_;
  bootstrap::Metrics metrics_;
  std::filesystem::path cache_;
  std::optional<swarm::TestNode> node_;
  std::vector<std::unique_ptr<swarm::TestNode>> boots_;
  std::optional<bootstrap::Client> client_;
  std::vector<BootstrapProgress> progress_;
  std::vector<PeerId> told_;
  std::optional<Joiner> joiner_;
};

TEST_F(JoinerTest, ConnectsToThreeOfThoseThatADocumentNames) {
  for (std::uint8_t i = 1; i <= 5; ++i) add_boot_peer(i);
  publish({1, 2, 3, 4, 5});
  start({});
  world_.run_for(5s);

  EXPECT_EQ(connected(), 3U);
  EXPECT_TRUE(joiner_->is_boot_peer(boots_[0]->peer()));
  EXPECT_FALSE(joiner_->is_boot_peer(boots_[4]->peer()));
  EXPECT_EQ(told_.size(), 3U);
  EXPECT_EQ(web_.requests[kUrl], 1);
}

/// Boot peer `number` by QUIC as well.
Multiaddr by_quic(const Multiaddr& by_tcp) {
  return Multiaddr::quic_v1(*by_tcp.endpoint()).with_peer(*by_tcp.peer_id());
}

TEST_F(JoinerTest, ABootPeerThatIsThereByTcpAndQuicIsConnectedToByBoth) {
  auto& boot = add_boot_peer(1);
  add_quic(*node_);
  add_quic(boot);
  boot.listen("/ip4/5.6.7.1/udp/4001/quic-v1");
  node_->knows(boot, {"/ip4/5.6.7.1/udp/4001/quic-v1"});  // By identify.
  JoinerConfig config;
  config.peers = {address_of(1), by_quic(address_of(1))};
  config.wants_both_kinds = true;
  start(config, false);
  world_.run_for(1s);
  EXPECT_EQ(node_->swarm.connections_to(boot.peer()).size(), 2U);

  // One that is lost is made again, beside the other.
  world_.run_for(1min);
  for (const auto& each : node_->swarm.connections_to(boot.peer()))
    if (each.remote.has(Protocol::udp)) node_->swarm.close_connection(each.id);
  world_.run_for(500ms);
  EXPECT_EQ(node_->swarm.connections_to(boot.peer()).size(), 1U);
  world_.run_for(5s);
  EXPECT_EQ(node_->swarm.connections_to(boot.peer()).size(), 2U);
}

TEST_F(JoinerTest, ABootPeerWithoutUdpCostsNothingButItsDial) {
  auto& boot = add_boot_peer(1);
  add_quic(*node_);
  JoinerConfig config;
  config.peers = {address_of(1), by_quic(address_of(1))};
  config.wants_both_kinds = true;
  start(config, false);
  world_.run_for(1min);
  EXPECT_EQ(node_->swarm.connections_to(boot.peer()).size(), 1U);
  EXPECT_EQ(count(Stage::connected), 1);
  EXPECT_EQ(count(Stage::failed), 0);
}

TEST_F(JoinerTest, DeadEntriesArePassedOver) {
  add_boot_peer(5);
  for (std::uint8_t i = 1; i <= 4; ++i)
    net_.add_host({.name = "dead", .addresses = {"5.6.7." + std::to_string(i)}});
  publish({1, 2, 3, 4, 5});
  start({});
  world_.run_for(5s);

  EXPECT_EQ(connected(), 1U);
  EXPECT_EQ(count(Stage::failed), 4);
  EXPECT_EQ(joiner_->metrics().joined.value(), 1U);
}

TEST_F(JoinerTest, AServerThatLetsGoAtOnceIsNotHammered) {
  Bouncer bouncer(add_boot_peer(1).swarm);
  publish({1});
  start({});
  world_.run_for(10min);

  EXPECT_GE(bouncer.count, 4);
  EXPECT_LE(bouncer.count, 15);
  EXPECT_LE(web_.requests[kUrl], 15);
}

TEST_F(JoinerTest, AConfiguredPeerThatLetsGoAtOnceIsNotHammered) {
  Bouncer bouncer(add_boot_peer(1).swarm);
  start({.peers = {address_of(1)}}, false);
  world_.run_for(10min);

  EXPECT_GE(bouncer.count, 4);
  EXPECT_LE(bouncer.count, 15);
}

TEST_F(JoinerTest, AConfiguredPeerIsDialedAtOnceAndAgainWhenItIsLost) {
  auto& boot = add_boot_peer(1);
  start({.peers = {address_of(1)}}, false);
  world_.run_for(200ms);
  ASSERT_EQ(connected(), 1U);
  EXPECT_TRUE(joiner_->is_boot_peer(boot.peer()));

  world_.run_for(1h);
  boot.swarm.disconnect(node_->peer());
  world_.run_for(100ms);
  EXPECT_EQ(connected(), 0U);
  world_.run_for(3s);
  EXPECT_EQ(connected(), 1U);
}

TEST_F(JoinerTest, JoinsAgainWithinSecondsAfterALongConnection) {
  auto& boot = add_boot_peer(1);
  publish({1});
  start({});
  world_.run_for(1h);
  ASSERT_EQ(web_.requests[kUrl], 1);

  boot.swarm.disconnect(node_->peer());
  world_.run_for(5s);
  EXPECT_EQ(connected(), 1U);
}

TEST_F(JoinerTest, KnownPeersAreTriedAgainWhileNoDocumentCanBeHad) {
  client_config_.cache_file = cache_;
  auto& boot = add_boot_peer(1);
  publish({1});
  start({});
  world_.run_for(1min);
  ASSERT_EQ(connected(), 1U);

  web_.pages[kUrl].error = Errc::refused;
  boot.swarm.disconnect(node_->peer());
  world_.run_for(1min);
  EXPECT_EQ(connected(), 1U);
}

TEST_F(JoinerTest, KnownPeersAreTriedAgainWithoutACacheFileToo) {
  auto& boot = add_boot_peer(1);
  publish({1});
  start({});
  world_.run_for(1min);
  web_.pages[kUrl].error = Errc::refused;
  boot.swarm.disconnect(node_->peer());
  world_.run_for(1min);
  EXPECT_EQ(connected(), 1U);
}

TEST_F(JoinerTest, ADeadUrlIsAskedEverMoreRarely) {
  web_.pages[kUrl].error = Errc::refused;
  start({});
  world_.run_for(1h);

  EXPECT_GE(web_.requests[kUrl], 12);
  EXPECT_LE(web_.requests[kUrl], 40);
  EXPECT_GT(count(Stage::waiting), 0);
}

TEST_F(JoinerTest, OldBootPeersDoNotKeepNewOnesFromCounting) {
  JoinerConfig config;
  config.max_boot_peers = 4;
  for (std::uint8_t i = 1; i <= 8; ++i)
    net_.add_host({.name = "dead", .addresses = {"5.6.7." + std::to_string(i)}});
  auto& boot = add_boot_peer(9);
  publish({1, 2, 3, 4, 5, 6, 7, 8, 9});
  start(config);
  world_.run_for(1min);

  EXPECT_EQ(connected(), 1U);
  EXPECT_TRUE(joiner_->is_boot_peer(boot.peer()));
  EXPECT_EQ(joiner_->metrics().joined.value(), 1U);
  EXPECT_EQ(web_.requests[kUrl], 1);
}

TEST_F(JoinerTest, StopsAtAnyMoment) {
  add_boot_peer(1);
  publish({1, 2, 3});
  for (auto at = 0ms; at < 400ms; at += 10ms) {
    start({.peers = {address_of(4)}});
    world_.run_for(at);
    const auto begin = world_.now();
    ASSERT_TRUE(std::get<0>(world_.run(joiner_->stop())));
    EXPECT_EQ(world_.now(), begin);
    node_->swarm.disconnect(boots_[0]->peer());
    joiner_.reset();
    client_.reset();
  }
}

}  // namespace
}  // namespace pyrsia

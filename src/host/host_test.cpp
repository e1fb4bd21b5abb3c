#include "sim/host.hpp"

#include "protocols/autonat/exchange.hpp"
#include "runtime/timeout.hpp"
#include "sim/network.hpp"
#include "wire/frame.hpp"

#include <pyrsia/host.hpp>

#include <gtest/gtest.h>

#include <cassert>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

/// A host on a machine of its own, and what it told.
class Peer {
 public:
  Peer(sim::SimHost& machine, std::uint8_t number, Config config)
      : machine_(machine),
        id_(key_of(number).peer_id()),
        host_(*Host::make(machine, key_of(number), std::move(config))) {}

  Task<> start() { return host_->start(nullptr); }
  Task<> stop() { return host_->stop(); }
  Host& host() { return *host_; }
  sim::SimHost& machine() { return machine_; }
  const PeerId& id() const { return id_; }
  Task<> take_events() {
    while (auto event = co_await with_timeout(machine_, 1ms, host_->next_event()))
      events.push_back(*std::move(event));
    co_return ok;
  }
  template <class E>
  std::vector<E> of() const {
    std::vector<E> out;
    for (const auto& event : events)
      if (const auto* one = std::get_if<E>(&event)) out.push_back(*one);
    return out;
  }

  std::vector<HostEvent> events;

 private:
  sim::SimHost& machine_;
  PeerId id_;
  std::unique_ptr<Host> host_;
};

/// A boot node at 5.6.7.1, and a node that is told of it as a configured peer.
class HostTest : public testing::Test {
 protected:
  HostTest() {
    net_.set_default_path({.one_way_delay = 50ms});
    world_.set_run_limit(2min);
  }
  ~HostTest() override {
    for (auto& peer : peers_)
      EXPECT_TRUE(std::get<0>(world_.run(peer->stop()))) << world_.deadlock_report();
  }

  static Config listening() {
    Config config;
    config.listen = {addr("/ip4/0.0.0.0/tcp/44000")};
    return config;
  }
  static Config joining() {
    auto config = listening();
    config.peers = {addr("/ip4/5.6.7.1/tcp/44000").with_peer(key_of(1).peer_id())};
    return config;
  }
  /// One server of AutoNAT v2 alone makes no verdict sure; of v1 it does, by the original's rule.
  static Config joining_by_v1() {
    auto config = joining();
    config.autonat_v2.is_client = false;
    return config;
  }
  Peer& add(const std::string& ip, std::uint8_t number, Config config, sim::SimNat* nat = nullptr) {
    auto& machine = net_.add_host({.name = ip, .addresses = {ip}, .behind = nat});
    auto& peer = *peers_.emplace_back(std::make_unique<Peer>(machine, number, std::move(config)));
    EXPECT_TRUE(std::get<0>(world_.run(peer.start())));
    return peer;
  }
  Peer& add_boot() {
    auto config = listening();
    config.is_listen_only = true;
    return add("5.6.7.1", 1, std::move(config));
  }
  sim::SimNat& add_nat(const char* external) {
    sim::NatConfig config;
    config.external = {*IpAddress::parse(external)};
    return net_.add_nat(config);
  }
  void read(Peer& peer) { EXPECT_TRUE(std::get<0>(world_.run(peer.take_events()))); }

  sim::World world_;
  sim::Network net_{world_};
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(HostTest, ABadConfigurationMakesNoHost) {
  auto config = listening();
  config.peers = {addr("/ip4/1.2.3.4/tcp/1")};
  auto& machine = net_.add_host({.name = "x", .addresses = {"1.2.3.4"}});
  EXPECT_EQ(Host::make(machine, key_of(1), config).error(), Errc::invalid_argument);
}

TEST_F(HostTest, APortInUseIsNamedAndNothingIsLeftRunning) {
  auto& boot = add_boot();
  auto config = listening();
  config.listen.push_back(addr("/ip4/0.0.0.0/tcp/44001"));
  std::swap(config.listen[0], config.listen[1]);
  auto host = *Host::make(boot.machine(), key_of(9), config);
  std::string detail;
  auto [started] = world_.run(host->start(&detail));
  EXPECT_EQ(started.error(), Errc::address_in_use);
  EXPECT_NE(detail.find("/ip4/0.0.0.0/tcp/44000"), std::string::npos);
  // No task is left, or destroying it would end the program.
}

TEST_F(HostTest, ItIsPublicAfterOneRoundAndOneServerIsNotTakenForThree) {
  add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(1s);
  EXPECT_EQ(node.host().nat().status, Reachability::reachable);
  world_.run_for(5min);
  const auto nat = node.host().nat();
  EXPECT_EQ(nat.confidence, 1);
  EXPECT_FALSE(nat.is_confirmed);
  EXPECT_NE(nat.reason.find("only 1 network can be asked"), std::string::npos) << nat.reason;
  auto counters = node.host().counters();
  EXPECT_EQ(counters["pyrsia_autonat_client_probes_total"], 0U);  // AutoNAT v2 does it.
  EXPECT_LE(counters["pyrsia_autonat_v2_client_probes_total"], 4U);
  read(node);
  EXPECT_EQ(node.of<StatusChanged>().size(), 1U);
}

TEST_F(HostTest, WithAutonatV1AloneItGrowsSureAsTheOriginal) {
  add_boot();
  auto& node = add("1.2.3.4", 2, joining_by_v1());
  world_.run_for(1s);
  EXPECT_EQ(node.host().nat().status, Reachability::reachable);
  world_.run_for(35s);
  EXPECT_EQ(node.host().nat().confidence, 3);
  const auto probes = node.host().counters()["pyrsia_autonat_client_probes_total"];
  EXPECT_EQ(probes, 4U);  // At 0, 10, 20 and 30 s.
  world_.run_for(5min);
  // From then on every 30 s, whoever connects meanwhile.
  const auto later = node.host().counters()["pyrsia_autonat_client_probes_total"] - probes;
  EXPECT_EQ(later, 10U);
  read(node);
  EXPECT_EQ(node.of<StatusChanged>().size(), 1U);
}

TEST_F(HostTest, TheFirstPeerIsThereInLessThanSixTenthsOfASecond) {
  add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(600ms);
  read(node);
  EXPECT_EQ(node.of<PeerConnected>().size(), 1U);
}

TEST_F(HostTest, EventsTellTheStoryInOrder) {
  auto& boot = add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(30s);
  read(node);
  read(boot);

  ASSERT_FALSE(node.events.empty());
  EXPECT_TRUE(std::holds_alternative<Listening>(node.events.front()));
  const auto probes = node.of<OutboundProbe>();
  ASSERT_GE(probes.size(), 2U);
  EXPECT_EQ(probes[0].stage, OutboundProbe::Stage::request);
  EXPECT_EQ(probes[1].stage, OutboundProbe::Stage::response);
  EXPECT_EQ(probes[1].address, addr("/ip4/1.2.3.4/tcp/44000"));
  const auto changes = node.of<StatusChanged>();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].old_status, Reachability::unknown);
  EXPECT_EQ(changes[0].new_status, Reachability::reachable);
  EXPECT_EQ(changes[0].address, addr("/ip4/1.2.3.4/tcp/44000"));
  // The boot node asked us in turn.
  ASSERT_FALSE(node.of<InboundProbe>().empty());
  EXPECT_EQ(node.of<InboundProbe>()[0].peer, boot.id());
  ASSERT_EQ(node.of<Connected>().size(), 1U);
  EXPECT_EQ(node.of<Connected>()[0].peer, boot.id());
  // Dial-backs are no news: one peer, connected once.
  EXPECT_EQ(node.of<PeerConnected>().size(), 1U);
  EXPECT_TRUE(node.of<PeerDisconnected>().empty());
  EXPECT_TRUE(boot.of<Connected>().empty());
}

TEST_F(HostTest, FullyConnectedEndsWithTheLastBootPeer) {
  auto& boot = add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(30s);
  ASSERT_TRUE(node.host().nat().is_connected);
  boot.machine().kill();
  world_.run_for(5s);
  EXPECT_FALSE(node.host().nat().is_connected);
}

TEST_F(HostTest, ListenOnlyDialsNobodyButWhoAsksForIt) {
  auto& boot = add_boot();
  world_.run_for(10min);
  EXPECT_EQ(boot.host().counters()["pyrsia_swarm_dials_total"], 0U);
  add("1.2.3.4", 2, joining());
  world_.run_for(1s);
  EXPECT_EQ(boot.host().counters()["pyrsia_swarm_dials_total"], 1U);  // The dial-back.
}

TEST_F(HostTest, OnlyWhatOthersCanUseIsACandidate) {
  add_boot();
  auto config = joining();
  config.announce = {addr("/ip4/9.9.9.9/tcp/443")};
  auto& node = add("192.168.1.2", 2, config, &add_nat("9.9.9.9"));
  world_.run_for(1s);
  std::vector<std::string> found;
  for (const auto& one : node.host().nat().addresses)
    found.push_back(one.source + " " + one.address.to_string());
  const std::vector<std::string> expected{"observed /ip4/9.9.9.9/tcp/44000",
                                          "announced /ip4/9.9.9.9/tcp/443"};
  EXPECT_EQ(found, expected);
}

TEST_F(HostTest, ANewIpIsProbedAtOnceAndTheOldVerdictIsGone) {
  auto& boot = add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(60s);
  ASSERT_EQ(node.host().nat().status, Reachability::reachable);
  node.machine().set_addresses({"1.2.9.9"});
  boot.machine().break_connections("1.2.3.4");
  node.machine().break_connections("1.2.3.4");
  world_.run_for(5s);  // It must join again.

  const auto report = node.host().nat();
  EXPECT_EQ(report.status, Reachability::reachable) << report.reason;
  EXPECT_NE(report.reason.find("1.2.9.9"), std::string::npos) << report.reason;
  for (const auto& one : node.host().advertised_addresses())
    EXPECT_NE(one.ip(), *IpAddress::parse("1.2.3.4"));
}

TEST_F(HostTest, AnInboundConnectionHastensTheProbeOfAPrivateNode) {
  add_boot();
  auto& nat = add_nat("9.9.9.9");
  auto& node = add("192.168.1.2", 2, joining_by_v1(), &nat);
  auto& other = add("192.168.1.3", 3, listening(), &nat);
  world_.run_for(2min);
  ASSERT_EQ(node.host().nat().status, Reachability::unreachable);
  ASSERT_EQ(node.host().nat().confidence, 3);
  const auto probes = [&] { return node.host().counters()["pyrsia_autonat_client_probes_total"]; };
  const auto before = probes();
  while (probes() == before) world_.run_for(100ms);
  world_.run_for(7s);  // It has been answered; the next is due in 30 s.
  std::vector at{addr("/ip4/192.168.1.2/tcp/44000")};
  auto [connected] = world_.run(other.host().connect(node.id(), std::move(at)));
  ASSERT_TRUE(connected) << connected.error();
  world_.run_for(7s);
  EXPECT_EQ(probes(), before + 2);
}

Task<std::size_t> ask_often(Host& host, PeerId server, int count) {
  std::size_t reached = 0;
  for (int i = 0; i < count; ++i) {
    const std::string protocol(autonat::kProtocol);
    PYRSIA_CO_TRY(const auto stream, co_await host.open_stream(server, protocol));
    autonat::Dial dial{host.peer_id(), {addr("/ip4/1.2.3.4/tcp/44000")}, 0};
    PYRSIA_CO_TRY(const auto answer, co_await autonat::request(*stream, std::move(dial)));
    reached += answer.status == autonat::Status::ok;
  }
  co_return reached;
}

TEST_F(HostTest, OnePeerCannotHaveItselfDialedWithoutEnd) {
  auto& boot = add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(100ms);
  const auto begin = world_.now();
  auto [reached] = world_.run(ask_often(node.host(), boot.id(), 150));
  ASSERT_TRUE(reached) << reached.error();
  EXPECT_LT(world_.now() - begin, 60s);
  EXPECT_LE(*reached, 30U);
}

/// Asks for a dial-back, and takes `pause` to say for which.
Task<autonat::DialResponse> ask_slowly(Env& env, Host& host, PeerId server, Duration pause) {
  const std::string protocol(autonat::kProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await host.open_stream(server, protocol));
  const autonat::Dial dial{host.peer_id(), {addr("/ip4/9.9.9.9/tcp/1")}, 0};
  const auto message = autonat::encode(dial);
  assert(message.size() < 128);
  const Bytes length{static_cast<std::uint8_t>(message.size())};
  PYRSIA_CO_TRY(co_await stream->write_all(length));
  PYRSIA_CO_TRY(co_await env.sleep_for(pause));
  PYRSIA_CO_TRY(co_await stream->write_all(message));
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(*stream, 1024));
  co_return autonat::decode_response(answer);
}

// Which is how long clients wait, the original among them.
TEST_F(HostTest, EvenASlowRequestForASilentAddressIsAnsweredWithin30Seconds) {
  auto& boot = add_boot();
  auto quiet = joining_by_v1();
  quiet.autonat.retry_interval = quiet.autonat.refresh_interval = 10min;
  auto& node = add("192.168.1.2", 2, std::move(quiet), &add_nat("9.9.9.9"));
  world_.run_for(40s);  // Its own request is over.
  const auto begin = world_.now();
  auto [answer] = world_.run(ask_slowly(node.machine(), node.host(), boot.id(), 9800ms));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->text, "dial failed");
  EXPECT_GT(world_.now() - begin, 10s);
  EXPECT_LT(world_.now() - begin, 30s);
}

TEST_F(HostTest, StopEndsTheEventsAndIsQuick) {
  add_boot();
  auto& node = add("1.2.3.4", 2, joining());
  world_.run_for(350ms);
  const auto begin = world_.now();
  EXPECT_TRUE(std::get<0>(world_.run(node.stop())));
  EXPECT_TRUE(std::get<0>(world_.run(node.stop())));  // Again does no harm.
  EXPECT_LT(world_.now() - begin, 2s);
  read(node);
  EXPECT_EQ(std::get<0>(world_.run(node.host().next_event())).error(), Errc::closed);
}

}  // namespace
}  // namespace pyrsia

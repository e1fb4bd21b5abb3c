// STUN and QUIC at one UDP port, in the simulation.
#include "host/shared_ports.hpp"

#include "nat/stun/ask_once.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <pyrsia/host.hpp>

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

Endpoint at(const char* ip, std::uint16_t port) {
  return {*IpAddress::parse(ip), port};
}

constexpr std::uint16_t kPort = 44000;

/// Boot servers at 5.6.7.1, 5.6.8.1, … that listen on TCP and QUIC, and a node behind a NAT.
class SharedPortsTest : public testing::Test {
 protected:
  SharedPortsTest() {
    net_.set_default_path({.one_way_delay = 50ms});
    world_.set_run_limit(2min);
  }
  ~SharedPortsTest() override {
    for (auto& host : hosts_) EXPECT_TRUE(std::get<0>(world_.run(host->stop())));
  }

  static Config listening() {
    Config config;
    config.listen = {addr("/ip4/0.0.0.0/tcp/44000"), addr("/ip4/0.0.0.0/udp/44000/quic-v1")};
    return config;
  }
  Host& add(const std::string& ip, Config config, sim::SimNat* nat = nullptr) {
    auto& machine = net_.add_host({.name = ip, .addresses = {ip}, .behind = nat});
    const auto number = static_cast<std::uint8_t>(hosts_.size() + 1);
    hosts_.push_back(*Host::make(machine, key_of(number), std::move(config)));
    EXPECT_TRUE(std::get<0>(world_.run(hosts_.back()->start(nullptr))));
    return *hosts_.back();
  }
  /// They come first, so that their keys are known.
  void add_boots(int count) {
    for (int i = 0; i < count; ++i) {
      auto config = listening();
      config.is_listen_only = true;
      config.stun.is_server = true;
      add("5.6." + std::to_string(7 + i) + ".1", std::move(config));
    }
  }
  /// Told of both addresses of each boot server.
  Config joining() {
    auto config = listening();
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      const auto peer = key_of(static_cast<std::uint8_t>(i + 1)).peer_id();
      const auto ip = "/ip4/5.6." + std::to_string(7 + i) + ".1";
      config.peers.push_back(addr(ip + "/tcp/44000").with_peer(peer));
      config.peers.push_back(addr(ip + "/udp/44000/quic-v1").with_peer(peer));
    }
    return config;
  }
  sim::SimNat& add_nat(Dependence mapping) {
    sim::NatConfig config;
    config.external = {*IpAddress::parse("9.8.7.6")};
    config.mapping = mapping;
    config.allocation = sim::PortAllocation::random;
    return net_.add_nat(config);
  }
  Result<stun::Response> ask(sim::SimHost& machine, const Endpoint& server) {
    stun::Query query;
    query.server = server;
    query.plan = stun::RetransmitPlan::quick();
    return std::get<0>(world_.run(stun::ask_once(machine, query)));
  }
  static std::vector<AddressVerdict> quic_seen(Host& host) {
    auto all = host.nat().addresses;
    std::erase_if(all, [](const AddressVerdict& one) {
      return !one.address.is_quic_v1() || one.source != "observed";
    });
    return all;
  }

  sim::World world_;
  sim::Network net_{world_};
  std::vector<std::unique_ptr<Host>> hosts_;
};

TEST_F(SharedPortsTest, AnswersAtThePortOfQuicWhereItIsOn) {
  add_boots(1);
  add("5.6.9.1", listening());
  auto& asker = net_.add_host({.name = "asker", .addresses = {"1.2.3.4"}});
  const auto answer = ask(asker, at("5.6.7.1", kPort));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->mapped.ip, *IpAddress::parse("1.2.3.4"));
  EXPECT_EQ(answer->from, at("5.6.7.1", kPort));
  EXPECT_EQ(hosts_[0]->counters().at("pyrsia_stun_answered_total"), 1U);
  EXPECT_EQ(hosts_[0]->counters().at("pyrsia_quic_unknown_datagrams_total"), 0U);
  EXPECT_EQ(ask(asker, at("5.6.9.1", kPort)).error(), Errc::timed_out);
  EXPECT_GT(hosts_[1]->counters().at("pyrsia_quic_unknown_datagrams_total"), 0U);
}

TEST_F(SharedPortsTest, OneSourceIsLimitedThereToo) {
  auto config = listening();
  config.is_listen_only = true;
  config.stun.is_server = true;
  config.stun.per_source_per_second = 4;
  add("5.6.7.1", std::move(config));
  auto& asker = net_.add_host({.name = "asker", .addresses = {"1.2.3.4"}});
  EXPECT_TRUE(ask(asker, at("5.6.7.1", kPort)));
  // Ten a second are more than four, and a hundred more than 48 at once.
  for (int i = 0; i < 100; ++i) (void)ask(asker, at("5.6.7.1", kPort));
  EXPECT_GT(hosts_[0]->counters().at("pyrsia_stun_limited_total"), 0U);
}

TEST_F(SharedPortsTest, ANodeLearnsWhereItsQuicSocketIsSeen) {
  add_boots(2);
  auto config = joining();
  config.peers.erase(config.peers.begin() + 1);  // The first is reached over TCP only.
  config.peers.pop_back();                       // So is the second.
  config.stun.servers = {addr("/ip4/5.6.7.1/udp/44000"), addr("/ip4/5.6.8.1/udp/44000")};
  auto& node = add("192.168.1.2", std::move(config), &add_nat(Dependence::endpoint_independent));
  world_.run_for(5s);
  const auto seen = quic_seen(node);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].address.ip(), *IpAddress::parse("9.8.7.6"));
  EXPECT_EQ(seen[0].observers, 2U);
  EXPECT_NE(seen[0].address.port(), kPort);  // The very socket, not a guess.
  EXPECT_GE(node.counters().at("pyrsia_quic_stun_answers_total"), 2U);
}

TEST_F(SharedPortsTest, ANatThatMapsEachServerAnewIsFoundOut) {
  add_boots(3);
  auto& node = add("192.168.1.2", joining(), &add_nat(Dependence::address_and_port_dependent));
  world_.run_for(10s);
  // Each saw another port; QUIC and STUN of one server agree, and are one observer.
  for (const auto& seen : quic_seen(node)) EXPECT_EQ(seen.observers, 1U);
  EXPECT_GE(node.counters().at("pyrsia_quic_stun_answers_total"), 2U);
}

TEST_F(SharedPortsTest, BootServersWithQuicAreAskedOnceTheyAreConnected) {
  add_boots(2);
  auto& node = add("192.168.1.2", joining(), &add_nat(Dependence::endpoint_independent));
  world_.run_for(10s);
  const auto counters = node.counters();
  EXPECT_GE(counters.at("pyrsia_quic_stun_answers_total"), 2U);
  EXPECT_EQ(counters.at("pyrsia_quic_stun_no_answers_total"), 0U);
}

TEST_F(SharedPortsTest, AServerThatLiesOrIsSilentDoesNoHarm) {
  add_boots(1);
  auto& machine = net_.add_host({.name = "liar", .addresses = {"6.6.6.6"}});
  struct Liar {
    /// Repeats what it gets, as a success response without any address.
    static Task<> serve(std::unique_ptr<UdpSocket> socket) {
      for (;;) {
        PYRSIA_CO_TRY(const auto batch, co_await socket->receive_batch());
        for (const auto& datagram : batch) {
          Bytes bytes(datagram.bytes.begin(), datagram.bytes.begin() + 20);
          bytes[0] = 1;
          bytes[2] = bytes[3] = 0;
          (void)socket->send(datagram.from, bytes);
        }
      }
    }
  };
  TaskGroup lying(machine);
  lying.spawn(Liar::serve(*machine.udp_bind(at("6.6.6.6", 3478))));
  auto config = joining();
  config.stun.servers = {addr("/ip4/6.6.6.6/udp/3478"), addr("/ip4/6.6.6.7/udp/3478"),
                         addr("/dns/nobody.test/udp/3478")};
  auto& node = add("192.168.1.2", std::move(config), &add_nat(Dependence::endpoint_independent));
  world_.run_for(20s);
  const auto counters = node.counters();
  EXPECT_GE(counters.at("pyrsia_quic_stun_no_answers_total"), 2U);
  EXPECT_GE(counters.at("pyrsia_quic_stun_unresolved_total"), 1U);
  EXPECT_GT(counters.at("pyrsia_quic_stun_client_malformed_total"), 0U);
  EXPECT_GE(counters.at("pyrsia_quic_stun_answers_total"), 1U);
  EXPECT_EQ(quic_seen(node).size(), 1U);
  lying.cancel();
  (void)world_.run(lying.join());
}

}  // namespace
}  // namespace pyrsia

// What a client behind each kind of NAT is told, with and without siblings of the server.
#include "protocols/autonat_v2/sibling/siblings.hpp"

#include "protocols/autonat_v2/sibling/exchange.hpp"
#include "protocols/autonat_v2/test_node.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::autonat_v2 {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;

const std::string kServerIp = "5.6.7.1";
const std::string kOuter = "/ip4/9.9.9.9/tcp/4001";

std::string listed(std::uint8_t number) {
  return "/ip4/5.6.7." + std::to_string(number) + "/tcp/4001/p2p/" +
         swarm::test_key(number).peer_id().to_string();
}

/// Says that it has reached whoever asks, and nobody else, and dials nobody.
Task<> lie(swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(const auto request, co_await sibling::receive_request(*incoming.stream));
  const bool is_check = request.client == incoming.connection.peer;
  const sibling::Response response{sibling::Status::dialed,
                                   is_check ? DialStatus::ok : DialStatus::dial_error};
  co_return co_await sibling::respond(*incoming.stream, response);
}

/// Boot server 1 at 5.6.7.1, 2 at 5.6.7.2, …, all of which list each other, and a client behind a
/// NAT that is connected to the first.
struct Cluster {
  struct Setup {
    std::uint64_t failing_operation = UINT64_MAX;
    std::uint8_t mute =
        0;  ///< So many siblings can be reached, but their network lets no dial out.
    std::uint64_t seed = 1;
    bool is_second_a_liar = false;  ///< See lie().
  };
  explicit Cluster(std::uint8_t size) : Cluster(size, Setup()) {}
  Cluster(std::uint8_t size, const Setup& setup) : world(setup.seed) {
    net.fail_operation(setup.failing_operation);
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    for (std::uint8_t i = 1; i <= size; ++i) {
      sibling::Config config;
      for (std::uint8_t j = 1; j <= size; ++j)
        if (i != j) config.peers.push_back(addr(listed(j)));
      const auto ip = "5.6.7." + std::to_string(i);
      auto* box = i > 1 && i <= setup.mute + 1 ? &net.add_nat(mute_box(ip)) : nullptr;
      machines.push_back(&net.add_host({ip, {ip}, box, 0ms}));
      members.push_back(std::make_unique<Node>(*machines.back(), i, config));
      if (!members.back()->node.swarm.listen(addr("/ip4/" + ip + "/tcp/4001"))) is_broken = true;
      members.back()->server.start();
      if (i == 2 && setup.is_second_a_liar)
        members.back()->node.swarm.handle(
            std::string(sibling::kProtocol), {},
            [](swarm::IncomingStream incoming) { return lie(std::move(incoming)); });
      else
        members.back()->siblings.start();
    }
    world.run_for(1s);  // They find each other.
  }
  ~Cluster() {
    for (const auto& node : members) stop(*node);
    if (client) stop(*client);
  }
  static sim::NatConfig mute_box(const std::string& ip) {
    sim::NatConfig config;
    config.blocks_dials = true;
    config.forwards = {{sim::Protocol::tcp, 4001, {*IpAddress::parse(ip), 4001}}};
    return config;
  }
  void stop(Node& node) {
    auto [stopped] = world.run(node.stop());
    EXPECT_TRUE(stopped);
  }
  Node& server() { return *members.front(); }

  void add_client(Dependence mapping, Dependence filtering, sim::PortAllocation allocation) {
    sim::NatConfig config;
    config.external = {IpAddress::v4({9, 9, 9, 9})};
    config.mapping = mapping;
    config.filtering = filtering;
    config.allocation = allocation;
    nat = &net.add_nat(config);
    add_client(net.add_host({"c", {"192.168.1.5"}, nat, 0ms}));
  }
  void add_client(sim::SimHost& machine) {
    client = std::make_unique<Node>(machine, 99);
    if (!client->node.swarm.listen(addr("/ip4/0.0.0.0/tcp/4001"))) is_broken = true;
    client->addresses = {addr(kOuter)};
    client->client.start();
  }
  void connect_client_to(std::uint8_t number) {
    client->node.knows(members[number - 1u]->node, {listed(number)});
    auto [connected] = world.run(swarm::connect(client->node, swarm::test_key(number).peer_id()));
  }
  /// The client asks the first member; its first result.
  AddressResult ask() {
    connect_client_to(1);
    client->node.swarm.peer_store().set_protocols(server().node.peer(),
                                                  {std::string(kDialRequestProtocol)});
    client->client.reconsider();
    world.run_for(8s);
    if (client->results.empty()) client->results.emplace_back(server().node.peer());
    return client->results.front();
  }

  sim::World world;
  sim::Network net{world};
  std::vector<sim::SimHost*> machines;
  std::vector<std::unique_ptr<Node>> members;
  std::unique_ptr<Node> client;
  sim::SimNat* nat = nullptr;
  bool is_broken = false;  ///< Somebody could not even listen.
};

struct Kind {
  const char* name;
  Dependence mapping;
  Dependence filtering;
  sim::PortAllocation allocation;
  Reachability alone;         ///< What a server without siblings says.
  Reachability with_sibling;  ///< The truth.
};

std::vector<Kind> kinds() {
  const auto all = Dependence::endpoint_independent;
  const auto by_address = Dependence::address_dependent;
  const auto by_port = Dependence::address_and_port_dependent;
  const auto yes = Reachability::reachable;
  const auto no = Reachability::unreachable;
  return {{"full cone", all, all, sim::PortAllocation::preserve, yes, yes},
          {"address-restricted", all, by_address, sim::PortAllocation::preserve, yes, no},
          {"port-restricted", all, by_port, sim::PortAllocation::preserve, no, no},
          {"symmetric", by_port, by_port, sim::PortAllocation::random, no, no}};
}

TEST(Siblings, TheVerdictIsTheTruthBehindEveryKindOfNat) {
  for (const auto& kind : kinds()) {
    for (const std::uint8_t size : {1, 2}) {
      SCOPED_TRACE(std::string(kind.name) + ", members: " + std::to_string(size));
      Cluster cluster(size);
      cluster.add_client(kind.mapping, kind.filtering, kind.allocation);
      const auto result = cluster.ask();
      EXPECT_EQ(result.verdict, size == 1 ? kind.alone : kind.with_sibling) << result.reason;
      const auto& metrics = cluster.server().server.metrics();
      EXPECT_EQ(metrics.dials_by_sibling.value(), size - 1u);
      EXPECT_EQ(metrics.dials_by_us.value(), 2u - size);
      EXPECT_EQ(metrics.dials_without_sibling.value(), 0u);
      if (result.verdict != Reachability::reachable) continue;
      // What an address-restricted NAT lets in can be told from what a full cone does.
      EXPECT_EQ(result.is_from_known_ip, size == 1);
      EXPECT_EQ(result.dialed_from, *IpAddress::parse("5.6.7." + std::to_string(size)));
    }
  }
}

TEST(Siblings, OneThatTheClientIsConnectedToDoesNotHelp) {
  Cluster cluster(3);
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, Dependence::address_dependent, sim::PortAllocation::preserve);
  cluster.connect_client_to(2);
  EXPECT_EQ(cluster.ask().verdict, Reachability::unreachable);
  // It has dialed the client, and the server, to show that it can.
  EXPECT_EQ(cluster.members[2]->siblings.metrics().helped.value(), 2u);
  EXPECT_EQ(cluster.server().siblings.metrics().checks.value(), 1u);
  EXPECT_EQ(cluster.members[1]->siblings.metrics().helped.value(), 0u);
}

Task<> connect_only(Node& from, PeerId to) {
  PYRSIA_CO_TRY(co_await swarm::connect(from.node, std::move(to)));
  co_return ok;
}

// The client is on its way to a sibling that does not know it yet: its NAT lets that one in.
TEST(Siblings, OneThatTheClientHasJustWrittenToIsNoWitnessForLong) {
  const auto all = Dependence::endpoint_independent;
  std::size_t early = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(3, {.seed = seed});
    cluster.add_client(all, Dependence::address_dependent, sim::PortAllocation::preserve);
    sim::PathConfig far;
    far.one_way_delay = 300ms;
    cluster.net.set_path(*cluster.nat, *cluster.machines[1], far);
    auto& client = *cluster.client;
    client.node.knows(cluster.members[1]->node, {listed(2)});
    const auto to_far = swarm::test_key(2).peer_id();
    TaskGroup connecting(client.node.env);
    connecting.spawn(connect_only(client, to_far));
    cluster.ask();
    EXPECT_EQ(client.results.back().verdict, Reachability::unreachable);
    early += client.results.size() > 1 && client.results.front().is_from_known_ip;
    EXPECT_LE(client.results.size(), 2u);
    EXPECT_EQ(connecting.size(), 0u);
  }
  EXPECT_GT(early, 0u);
}

TEST(Siblings, TwoDialBacksOfOneStrangerAtOnceAreBothAStrangers) {
  Cluster cluster(3);
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, all, sim::PortAllocation::preserve);
  cluster.connect_client_to(2);  // So both servers have the third dial.
  cluster.connect_client_to(1);
  for (int i : {0, 1})
    cluster.client->node.swarm.peer_store().set_protocols(
        cluster.members[std::size_t(i)]->node.peer(), {std::string(kDialRequestProtocol)});
  cluster.client->client.reconsider();
  cluster.world.run_for(5s);
  ASSERT_EQ(cluster.client->results.size(), 2u);
  for (const auto& result : cluster.client->results) {
    EXPECT_EQ(result.dialed_from, *IpAddress::parse("5.6.7.3"));
    EXPECT_FALSE(result.is_from_known_ip);
  }
}

TEST(Siblings, WhenAllAreKnownToTheClientTheServerDialsAndCountsIt) {
  Cluster cluster(2);
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, Dependence::address_dependent, sim::PortAllocation::preserve);
  cluster.connect_client_to(2);
  const auto result = cluster.ask();
  EXPECT_EQ(result.verdict, Reachability::reachable);
  EXPECT_TRUE(result.is_from_known_ip);  // So the client can tell.
  EXPECT_EQ(cluster.server().server.metrics().dials_without_sibling.value(), 1u);
  EXPECT_EQ(cluster.members[1]->siblings.metrics().known_clients.value(), 1u);
}

TEST(Siblings, OneAtOurOwnIpOrThatOfTheTargetIsNotAsked) {
  Cluster cluster(2);
  cluster.add_client(cluster.net.add_host({"c", {"9.9.9.9"}, nullptr, 0ms}));
  auto& siblings = cluster.server().siblings;
  const auto client = cluster.client->node.peer();
  const auto own_ip = *IpAddress::parse(kServerIp);
  const auto at_sibling = addr("/ip4/5.6.7.2/tcp/9");
  auto [target] = cluster.world.run(siblings.dial_back({client, at_sibling, 7}, own_ip));
  EXPECT_EQ(target.error(), Errc::unavailable);
  const auto sibling_ip = *IpAddress::parse("5.6.7.2");
  auto [own] = cluster.world.run(siblings.dial_back({client, addr(kOuter), 7}, sibling_ip));
  EXPECT_EQ(own.error(), Errc::unavailable);
  auto [third] = cluster.world.run(siblings.dial_back({client, addr(kOuter), 7}, own_ip));
  EXPECT_TRUE(third) << third.error();
}

TEST(Siblings, ASiblingThatFallsSilentMakesNobodyUnreachable) {
  Cluster cluster(2);
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, all, sim::PortAllocation::preserve);
  cluster.connect_client_to(1);
  cluster.net.partition({cluster.machines[1]}, {cluster.machines[0]});
  cluster.ask();
  cluster.world.run_for(10s);
  ASSERT_GE(cluster.client->results.size(), 2u);
  const auto first = cluster.client->results[1];  // Before it stands that none had come in 8 s.
  EXPECT_EQ(first.verdict, Reachability::unknown);
  EXPECT_EQ(first.response_status, ResponseStatus::internal_error);
  EXPECT_EQ(cluster.server().siblings.metrics().failed.value(), 1u);
  // It rests, so the next client is dialed by the server.
  cluster.client->client.probe(cluster.client->addresses);
  cluster.world.run_for(10s);
  EXPECT_EQ(cluster.client->results.back().verdict, Reachability::reachable);
}

// The only one that could bring a stranger's packets brings none to anybody.
TEST(Siblings, OneThatCannotDialMakesNobodyUnreachable) {
  const auto all = Dependence::endpoint_independent;
  Cluster cluster(2, {.mute = 1});
  cluster.add_client(all, all, sim::PortAllocation::preserve);
  const auto result = cluster.ask();
  EXPECT_EQ(result.verdict, Reachability::reachable) << result.reason;
  EXPECT_TRUE(result.is_from_known_ip);  // So the client knows what it is worth.
  EXPECT_EQ(cluster.server().siblings.metrics().doubted.value(), 1u);
  EXPECT_EQ(cluster.server().server.metrics().dials_by_us.value(), 1u);
}

TEST(Siblings, OneThatDialsNobodyAndSaysThatItHasReachedUsMakesNobodyUnreachable) {
  Cluster cluster(2, {.is_second_a_liar = true});
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, all, sim::PortAllocation::preserve);
  const auto result = cluster.ask();
  EXPECT_EQ(result.verdict, Reachability::reachable) << result.reason;
  EXPECT_TRUE(result.is_from_known_ip);
}

TEST(Siblings, WhereWeCouldNotTryOurselvesTheFailureOfOneIsNoEvidence) {
  Cluster cluster(2, {.mute = 1});
  const auto all = Dependence::endpoint_independent;
  cluster.add_client(all, all, sim::PortAllocation::preserve);
  std::vector<std::unique_ptr<Dialer::Attempt>> busy;  // As many as may be at once.
  for (std::size_t i = 0; i < DialerConfig().max_dials; ++i)
    busy.push_back(std::make_unique<Dialer::Attempt>(cluster.server().dialer));
  const auto result = cluster.ask();
  EXPECT_EQ(result.verdict, Reachability::unknown) << result.reason;
  EXPECT_EQ(result.response_status, ResponseStatus::request_rejected);
}

TEST(Siblings, AfterOneThatCannotDialAnotherIsAsked) {
  const auto all = Dependence::endpoint_independent;
  const auto yes = Reachability::reachable;
  for (const auto filtering : {all, Dependence::address_dependent}) {
    Cluster cluster(4, {.mute = 2});
    cluster.add_client(all, filtering, sim::PortAllocation::preserve);
    cluster.connect_client_to(1);
    for (int i = 0; i < 4; ++i) {  // In whichever order they are asked.
      cluster.client->node.swarm.peer_store().set_protocols(cluster.server().node.peer(),
                                                            {std::string(kDialRequestProtocol)});
      cluster.client->client.probe(cluster.client->addresses);
      cluster.world.run_for(75s);  // Those that failed may be asked again.
    }
    ASSERT_GE(cluster.client->results.size(), 4u);
    for (const auto& result : cluster.client->results) {
      EXPECT_EQ(result.verdict, filtering == all ? yes : Reachability::unreachable)
          << result.reason;
      if (result.verdict == yes) EXPECT_EQ(result.dialed_from, *IpAddress::parse("5.6.7.4"));
    }
  }
}

TEST(Siblings, OneThatReachesItsFriendsAndNoneOfManyClientsIsNotBelieved) {
  const TimePoint now(1h);
  sibling::Health health;
  EXPECT_FALSE(health.is_proven(now));
  for (std::uint8_t i = 0; i < sibling::Health::kMostMissed; ++i) {
    EXPECT_FALSE(health.is_suspect());
    health.has_missed(IpAddress::v4({9, 9, 9, i}));
    health.has_missed(IpAddress::v4({9, 9, 9, i}));  // Counts once.
    health.has_reached_us(now);
  }
  EXPECT_TRUE(health.is_suspect());
  health.has_reached_client(now);
  EXPECT_FALSE(health.is_suspect());
  EXPECT_TRUE(health.is_proven(now));
  EXPECT_FALSE(health.is_proven(now + 1min));
}

Task<sibling::Response> ask_for_help(Node& from, PeerId sibling, sibling::Request asked) {
  const std::string protocol(sibling::kProtocol);
  auto opening = from.node.swarm.open_stream(std::move(sibling), protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  co_return co_await sibling::request(*stream, std::move(asked));
}

TEST(Siblings, TheProtocolDoesNotExistForStrangers) {
  Cluster cluster(2);
  cluster.add_client(cluster.net.add_host({"c", {"9.9.9.9"}, nullptr, 0ms}));
  cluster.connect_client_to(2);
  const sibling::Request request{cluster.client->node.peer(), addr(kOuter), 7};
  const auto peer = cluster.members[1]->node.peer();
  auto [answer] = cluster.world.run(ask_for_help(*cluster.client, peer, request));
  EXPECT_EQ(answer.error(), Errc::not_supported);
  const auto told = cluster.members[1]->node.swarm.protocols();
  EXPECT_EQ(std::ranges::find(told, std::string(sibling::kProtocol)), told.end());
  EXPECT_EQ(cluster.members[1]->siblings.metrics().asked.value(), 0u);
}

TEST(Siblings, TheHelpersOwnRulesHoldWhoeverAsks) {
  Cluster cluster(2);
  auto& server = cluster.server();
  const auto peer = cluster.members[1]->node.peer();
  const auto stranger = swarm::test_key(50).peer_id();
  const auto asked = [&](const std::string& text) {
    const sibling::Request request{stranger, addr(text), 7};
    auto [answer] = cluster.world.run(ask_for_help(server, peer, request));
    EXPECT_TRUE(answer) << answer.error();
    return answer ? answer->status : sibling::Status::internal_error;
  };
  for (const auto* never : {"/ip4/192.168.1.5/tcp/4001", "/ip4/127.0.0.1/tcp/22",
                            "/dns4/example.org/tcp/1", "/ip6/2600::4/tcp/1"})
    EXPECT_EQ(asked(never), sibling::Status::refused) << never;
  // One stranger's IP is dialed 24 times a minute, and no more.
  cluster.net.set_default_path(sim::PathConfig());
  cluster.net.add_host({"v", {"7.7.7.7"}, nullptr, 0ms});
  for (int i = 0; i < 24; ++i)
    EXPECT_EQ(asked("/ip4/7.7.7.7/tcp/4001"), sibling::Status::dialed) << i;
  EXPECT_EQ(asked("/ip4/7.7.7.7/tcp/4001"), sibling::Status::rejected);
}

TEST(Siblings, OneAskerHasSixtyDialsAMinute) {
  Cluster cluster(2);
  auto& server = cluster.server();
  const auto peer = cluster.members[1]->node.peer();
  cluster.net.set_default_path(sim::PathConfig());
  std::vector<std::string> ips;
  for (int i = 1; i <= 61; ++i) ips.push_back("7.7.7." + std::to_string(i));
  cluster.net.add_host({"v", ips, nullptr, 0ms});
  for (std::uint8_t i = 0; i < 61; ++i) {
    const auto target = addr("/ip4/" + ips[i] + "/tcp/4001");
    const sibling::Request request{swarm::test_key(std::uint8_t(50 + i)).peer_id(), target, 7};
    auto [answer] = cluster.world.run(ask_for_help(server, peer, request));
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(answer->status, i < 60 ? sibling::Status::dialed : sibling::Status::rejected) << +i;
  }
}

// Breaks every network operation of a probe through a sibling in turn: nobody is ever called
// reachable who is not, and in the end the truth is known.
TEST(Siblings, NoBreakMakesAClosedNodeReachable) {
  const auto all = Dependence::endpoint_independent;
  std::uint64_t operations = 0;  // Up to the first result.
  for (std::uint64_t broken = 0; broken <= operations; ++broken) {
    SCOPED_TRACE(broken);
    Cluster cluster(2, {.failing_operation = broken});
    cluster.add_client(all, Dependence::address_dependent, sim::PortAllocation::preserve);
    if (cluster.is_broken) {  // Somebody could not even listen.
      ++operations;
      continue;
    }
    cluster.ask();
    operations = cluster.net.operation_count();
    cluster.world.run_for(70s);  // Until a sibling that did not answer has rested.
    cluster.client->client.probe(cluster.client->addresses);
    const auto before = cluster.client->results.size();
    cluster.ask();
    const auto& results = cluster.client->results;
    ASSERT_GT(results.size(), before);
    EXPECT_EQ(results.back().verdict, Reachability::unreachable) << results.back().reason;
    for (const auto& result : results)
      EXPECT_TRUE(result.verdict != Reachability::reachable || result.is_from_known_ip);
    ASSERT_LT(broken, 1000u);
  }
  EXPECT_GT(operations, 50u);
}

}  // namespace
}  // namespace pyrsia::autonat_v2

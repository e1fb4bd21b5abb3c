#include "protocols/autonat/client.hpp"
#include "protocols/autonat/exchange.hpp"
#include "protocols/autonat/server.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/test_node.hpp"
#include "wire/finish.hpp"
#include "wire/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::autonat {
namespace {

using namespace std::chrono_literals;

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

struct Node final : autonat::Observer {
  Node(Env& env, std::uint8_t number, const ServerConfig& config = {})
      : node(env, number),
        server(node.swarm, config, *this, Logger("autonat", swarm::kNoLog)),
        client(
            node.swarm, {}, [this] { return addresses; }, *this, Logger("autonat", swarm::kNoLog)) {
  }
  void on_inbound_probe(const InboundProbe& probe) override { inbound.push_back(probe); }
  void on_outbound_probe(const OutboundProbe& probe) override { outbound.push_back(probe); }
  void on_probe_result(const ProbeResult& result) override { results.push_back(result); }
  std::size_t errors() const {
    return std::size_t(std::ranges::count_if(outbound, [](const OutboundProbe& probe) {
      return probe.stage == OutboundProbe::Stage::error;
    }));
  }

  std::vector<Multiaddr> addresses;
  std::vector<InboundProbe> inbound;
  std::vector<OutboundProbe> outbound;
  std::vector<ProbeResult> results;
  swarm::TestNode node;
  Server server;
  Client client;
};

Task<DialResponse> ask_raw(Node& client, PeerId server, Dial dial) {
  const std::string protocol(kProtocol);
  auto opening = client.node.swarm.open_stream(std::move(server), protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  co_return co_await request(*stream, std::move(dial));
}

Task<DialResponse> send_garbage(Node& client, PeerId server, Bytes garbage) {
  const std::string protocol(kProtocol);
  auto opening = client.node.swarm.open_stream(std::move(server), protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, garbage));
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(*stream, 1024));
  co_return decode_response(answer);
}

/// Claims to have reached whoever asks at `address`.
Task<> lie(swarm::IncomingStream incoming, Multiaddr address) {
  PYRSIA_CO_TRY(co_await receive_request(*incoming.stream));
  DialResponse response;
  response.status = Status::ok;
  response.address = std::move(address);
  co_return co_await respond(*incoming.stream, std::move(response));
}

Task<> hang_up(swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(co_await receive_request(*incoming.stream));
  co_return co_await wire::finish(*incoming.stream);
}

/// A server on the internet and a client, 50 ms apart; the client is where the test puts it.
class AutonatTest : public testing::Test {
 protected:
  AutonatTest() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    ServerConfig config;
    config.dial_budget = 6s;
    config.max_dials = 20;
    server = std::make_unique<Node>(net.add_host({"s", {"5.6.7.8"}, nullptr, 0ms}), 1, config);
    server->node.listen("/ip4/5.6.7.8/tcp/4001");
    server->server.start();
  }
  ~AutonatTest() override {
    auto [stopped] = world.run(stop());
    EXPECT_TRUE(stopped);
  }
  Task<> stop() {
    if (client) {
      PYRSIA_CO_TRY(co_await client->client.stop());
      PYRSIA_CO_TRY(co_await client->node.swarm.stop());
    }
    co_return co_await server->node.swarm.stop();
  }

  void add_client(const std::string& ip, sim::SimNat* nat = nullptr) {
    client = std::make_unique<Node>(net.add_host({"c", {ip}, nat, 0ms}), 2);
    client->addresses = {client->node.listen("/ip4/" + ip + "/tcp/4001")};
    client->node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
  }
  void add_client_behind_nat(std::uint16_t forwarded_port = 0) {
    sim::NatConfig config;
    const Endpoint inner{IpAddress::v4({192, 168, 1, 5}), 4001};
    if (forwarded_port > 0) config.forwards = {{sim::Protocol::tcp, forwarded_port, inner}};
    config.external = {IpAddress::v4({9, 9, 9, 9})};
    add_client("192.168.1.5", &net.add_nat(config));
    client->addresses = {addr("/ip4/9.9.9.9/tcp/4001")};
  }
  DialResponse asked(const Dial& dial) {
    auto [response] = world.run(ask_raw(*client, server->node.peer(), dial));
    EXPECT_TRUE(response) << response.error();
    return response ? *response : DialResponse();
  }
  Dial dial_of(const std::vector<std::string>& texts) {
    Dial dial{client->node.peer(), {}, 0};
    for (const auto& text : texts) dial.addresses.push_back(addr(text));
    return dial;
  }
  /// As Identify and the host would.
  void introduce() {
    client->node.swarm.peer_store().set_protocols(server->node.peer(), {std::string(kProtocol)});
    client->client.reconsider();
  }

  sim::World world;
  sim::Network net{world};
  std::unique_ptr<Node> server;
  std::unique_ptr<Node> client;
};

TEST_F(AutonatTest, PublicClientIsReachedFromAnotherPort) {
  add_client("1.2.3.4");
  const auto response = asked(dial_of({"/ip4/1.2.3.4/tcp/4001"}));

  EXPECT_EQ(response.status, Status::ok);
  EXPECT_EQ(response.address, addr("/ip4/1.2.3.4/tcp/4001").with_peer(client->node.peer()));
  world.run_for(1s);
  ASSERT_EQ(client->node.heard.connected.size(), 2u);
  const auto& back = client->node.heard.connected[1];
  EXPECT_EQ(back.direction, swarm::Direction::inbound);
  EXPECT_NE(back.remote.port(), 4001);
  // The server ends the dial-back, not the connection that it was asked over.
  ASSERT_EQ(client->node.heard.disconnected.size(), 1u);
  EXPECT_EQ(client->node.heard.disconnected[0].id, back.id);
  EXPECT_TRUE(client->node.swarm.is_connected(server->node.peer()));
}

// A second listener's port is free towards the client, so only the rule keeps it from being used.
TEST_F(AutonatTest, NoDialBackLeavesFromAPortThatTheServerListensOn) {
  server->node.listen("/ip4/0.0.0.0/tcp/4000");
  add_client("1.2.3.4");
  EXPECT_EQ(asked(dial_of({"/ip4/1.2.3.4/tcp/4001"})).status, Status::ok);
  world.run_for(1s);
  ASSERT_EQ(client->node.heard.connected.size(), 2u);
  EXPECT_NE(client->node.heard.connected[1].remote.port(), 4000);
  EXPECT_NE(client->node.heard.connected[1].remote.port(), 4001);
}

TEST_F(AutonatTest, ServerReportsTheProbeAsTheOriginalDoes) {
  add_client("1.2.3.4");
  asked(dial_of({"/ip4/1.2.3.4/tcp/4001"}));
  ASSERT_EQ(server->inbound.size(), 2u);
  EXPECT_EQ(server->inbound[0].stage, InboundProbe::Stage::request);
  EXPECT_EQ(server->inbound[0].peer, client->node.peer());
  EXPECT_EQ(server->inbound[1].stage, InboundProbe::Stage::response);
}

TEST_F(AutonatTest, ClientBehindANatIsToldWithinTheBudget) {
  add_client_behind_nat();
  const auto begin = world.now();
  const auto response = asked(dial_of({"/ip4/9.9.9.9/tcp/4001", "/ip4/9.9.9.9/tcp/4002",
                                       "/ip4/9.9.9.9/tcp/4003", "/ip4/9.9.9.9/tcp/4004"}));
  EXPECT_EQ(response.status, Status::dial_error);
  EXPECT_EQ(response.text, "dial failed");
  EXPECT_LE(world.now() - begin, 7s);
  ASSERT_EQ(server->inbound.size(), 2u);
  EXPECT_EQ(server->inbound[0].stage, InboundProbe::Stage::request);
  EXPECT_EQ(server->inbound[0].addresses.size(), 4u);
  EXPECT_EQ(server->inbound[1].stage, InboundProbe::Stage::error);
  EXPECT_EQ(server->inbound[1].peer, client->node.peer());
  EXPECT_EQ(server->inbound[1].reason, "dial failed");
}

TEST_F(AutonatTest, TheLastOfSixteenAddressesHasItsChanceWhileTheOthersAreSilent) {
  add_client_behind_nat(4016);
  std::vector<std::string> ports;
  for (int port = 4001; port <= 4016; ++port)
    ports.push_back("/ip4/9.9.9.9/tcp/" + std::to_string(port));
  const auto begin = world.now();
  const auto response = asked(dial_of(ports));
  EXPECT_EQ(response.status, Status::ok);
  EXPECT_EQ(response.address, addr(ports.back()).with_peer(client->node.peer()));
  EXPECT_LE(world.now() - begin, 5s);
}

TEST_F(AutonatTest, WhatIsSilentTakesNoMoreThanItsShareOfTheDials) {
  add_client_behind_nat();
  std::vector<std::string> ports;
  for (int port = 1; port <= 16; ++port)
    ports.push_back("/ip4/9.9.9.9/tcp/" + std::to_string(port));
  Node other(net.add_host({"o", {"7.7.7.7"}, nullptr, 0ms}), 3);
  other.node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
  Dial five = dial_of({ports.begin(), ports.begin() + 5});
  five.peer = other.node.peer();
  const auto peer = server->node.peer();
  auto [connected] = world.run(swarm::connect(client->node, peer));  // So that it asks first.
  auto [mine, others] =
      world.run(ask_raw(*client, peer, dial_of(ports)), ask_raw(other, peer, five));
  ASSERT_TRUE(mine && others);
  EXPECT_EQ(mine->text, "dial failed");
  EXPECT_EQ(others->text, "too many total dials");

  auto [again] = world.run(ask_raw(other, peer, five));  // The others have ended.
  EXPECT_NE(again->text, "too many total dials");
  auto [stopped] = world.run(other.node.swarm.stop());
  EXPECT_TRUE(stopped);
}

TEST_F(AutonatTest, SeventhDialOfAnIpWithinASecondIsTooManyWhateverItsIds) {
  net.set_default_path(sim::PathConfig());
  auto& machine = net.add_host({"m", {"1.2.3.4"}, nullptr, 0ms});
  std::vector<std::string> answers;
  for (std::uint8_t i = 0; i < 7; ++i) {
    Node node(machine, std::uint8_t(10 + i));
    const auto at = "/ip4/1.2.3.4/tcp/" + std::to_string(4001 + i);
    node.node.listen(at);
    node.node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
    const Dial dial{node.node.peer(), {addr(at)}, 0};
    auto [response] = world.run(ask_raw(node, server->node.peer(), dial));
    answers.push_back(response ? response->text : response.error().message());
    auto [stopped] = world.run(node.node.swarm.stop());
    EXPECT_TRUE(stopped);
  }
  EXPECT_LT(world.now(), TimePoint(1s));
  EXPECT_EQ(answers[5], "");
  EXPECT_EQ(answers[6], "too many dials for ip address");
}

TEST_F(AutonatTest, DemandedIpsOfOthersAreNotDialed) {
  add_client("1.2.3.4");
  auto& victim = net.add_host({"v", {"7.7.7.7"}, nullptr, 0ms});
  const auto response = asked(dial_of({"/ip4/7.7.7.7/tcp/4001"}));
  EXPECT_EQ(response.status, Status::ok);  // Our own IP was dialed instead.
  EXPECT_EQ(response.address->ip(), IpAddress::v4({1, 2, 3, 4}));
  EXPECT_EQ(victim.connection_count(), 0u);
}

TEST_F(AutonatTest, RefusesInTheOriginalsWords) {
  add_client("1.2.3.4");
  auto of_another = dial_of({"/ip4/1.2.3.4/tcp/4001"});
  of_another.peer = server->node.peer();
  EXPECT_EQ(asked(of_another).text, "peer id mismatch");
  EXPECT_EQ(asked(of_another).status, Status::bad_request);
  const auto none = asked(dial_of({"/dns4/example.com/tcp/1", "/ip4/1.2.3.4/udp/4/quic-v1"}));
  EXPECT_EQ(none.text, "no dialable addresses");
  EXPECT_EQ(none.status, Status::dial_refused);
  ASSERT_EQ(server->inbound.size(), 3u);  // Nothing was dialed, so that there is no request.
  for (const auto& probe : server->inbound) EXPECT_EQ(probe.stage, InboundProbe::Stage::error);
  EXPECT_EQ(server->inbound[0].reason, "peer id mismatch");
  EXPECT_EQ(server->inbound[2].reason, "no dialable addresses");
}

// The order of the original: another peer's id, one going on, too many, blocked, nothing to dial.
TEST_F(AutonatTest, OfSeveralRulesThatAreBrokenTheOriginalsFirstIsNamed) {
  add_client_behind_nat(4001);
  net.set_default_path(sim::PathConfig());
  const auto peer = server->node.peer();
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(asked(dial_of({"/ip4/9.9.9.9/tcp/4001"})).status, Status::ok) << i;
  const auto silent = dial_of({"/ip4/9.9.9.9/tcp/4002"});
  auto of_another = dial_of({});
  of_another.peer = peer;
  auto [third, mismatch, ongoing] =
      world.run(ask_raw(*client, peer, silent), ask_raw(*client, peer, of_another),
                ask_raw(*client, peer, dial_of({})));
  ASSERT_TRUE(third && mismatch && ongoing);
  EXPECT_EQ(mismatch->text, "peer id mismatch");
  EXPECT_EQ(ongoing->text, "dial-back already ongoing");
  EXPECT_EQ(third->text, "dial failed");
}

TEST_F(AutonatTest, TooManyComesBeforeBlockedAndThatBeforeNothingToDial) {
  ServerConfig config;
  config.throttle = {{60s, 1, 1, 1}};
  Node strict(net.add_host({"t", {"5.6.7.9"}, nullptr, 0ms}), 3, config);
  strict.node.listen("/ip4/5.6.7.9/tcp/4001");
  strict.server.start();
  Node first(net.add_host({"f", {"1.2.3.4"}, nullptr, 0ms}), 4);
  first.node.listen("/ip4/1.2.3.4/tcp/4001");
  add_client("10.0.0.7");
  for (auto* node : {&first, client.get()})
    node->node.knows(strict.node, {"/ip4/5.6.7.9/tcp/4001"});
  const Dial dial{first.node.peer(), {addr("/ip4/1.2.3.4/tcp/4001")}, 0};
  auto [reached] = world.run(ask_raw(first, strict.node.peer(), dial));
  ASSERT_TRUE(reached);
  EXPECT_EQ(reached->status, Status::ok);

  const auto ask = [&] {
    return std::get<0>(world.run(ask_raw(*client, strict.node.peer(), dial_of({}))));
  };
  EXPECT_EQ(ask()->text, "too many total dials");
  world.run_for(60s);
  EXPECT_EQ(ask()->text, "refusing to dial peer with blocked observed address");
  auto [stopped, ended] = world.run(strict.node.swarm.stop(), first.node.swarm.stop());
  EXPECT_TRUE(stopped && ended);
}

TEST_F(AutonatTest, TheThirtyFirstDialWithinASecondIsOneTooManyWhoeverAsks) {
  net.set_default_path(sim::PathConfig());
  std::vector<std::string> answers;
  for (std::uint8_t i = 0; i < 11; ++i) {
    const auto ip = "1.2.3." + std::to_string(10 + i);
    Node node(net.add_host({ip, {ip}, nullptr, 0ms}), std::uint8_t(10 + i));
    const auto at = node.node.listen("/ip4/" + ip + "/tcp/4001");
    node.node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
    for (int count = 0; count < 3; ++count) {
      const Dial dial{node.node.peer(), {at}, 0};
      auto [response] = world.run(ask_raw(node, server->node.peer(), dial));
      answers.push_back(response ? response->text : response.error().message());
    }
    auto [stopped] = world.run(node.node.swarm.stop());
    EXPECT_TRUE(stopped);
  }
  EXPECT_LT(world.now(), TimePoint(1s));
  EXPECT_EQ(answers[29], "");
  EXPECT_EQ(answers[30], "too many total dials");
}

TEST_F(AutonatTest, RefusesPeersSeenAtAnAddressOutsideItsScope) {
  add_client("10.0.0.7");
  const auto response = asked(dial_of({"/ip4/1.2.3.4/tcp/4001"}));
  EXPECT_EQ(response.text, "refusing to dial peer with blocked observed address");
  EXPECT_EQ(response.status, Status::dial_refused);
}

TEST_F(AutonatTest, OneDialBackAtATimeForAPeer) {
  add_client_behind_nat();
  const auto dial = dial_of({"/ip4/9.9.9.9/tcp/4001"});
  const auto peer = server->node.peer();
  auto [connected] = world.run(swarm::connect(client->node, peer));
  auto [one, two] = world.run(ask_raw(*client, peer, dial), ask_raw(*client, peer, dial));
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->text, "dial failed");
  EXPECT_EQ(two->text, "dial-back already ongoing");
}

TEST_F(AutonatTest, FourthDialWithinASecondIsTooMany) {
  add_client("1.2.3.4");
  net.set_default_path(sim::PathConfig());
  const auto dial = dial_of({"/ip4/1.2.3.4/tcp/4001"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(asked(dial).status, Status::ok) << i;
  EXPECT_EQ(asked(dial).text, "too many dials for peer");
}

TEST_F(AutonatTest, GarbageGetsAWellFormedAnswer) {
  add_client("1.2.3.4");
  for (const auto size : {std::size_t(0), std::size_t(5), kMaxReceivedBytes + 1}) {
    auto [response] = world.run(send_garbage(*client, server->node.peer(), Bytes(size, 0xff)));
    ASSERT_TRUE(response) << size << response.error();
    EXPECT_EQ(response->status, Status::bad_request);
  }
}

TEST_F(AutonatTest, ClientStartsAsSoonAsAServerIsKnown) {
  add_client("1.2.3.4");
  client->client.start();
  auto [connected] = world.run(swarm::connect(client->node, server->node.peer()));
  introduce();
  world.run_for(1s);

  ASSERT_EQ(client->results.size(), 1u);
  EXPECT_EQ(client->results[0].status, Status::ok);
  EXPECT_EQ(client->results[0].address, addr("/ip4/1.2.3.4/tcp/4001"));
  EXPECT_EQ(client->results[0].server_ip, IpAddress::v4({5, 6, 7, 8}));
  ASSERT_EQ(client->outbound.size(), 2u);
  EXPECT_EQ(client->outbound[1].stage, OutboundProbe::Stage::response);
  world.run_for(30s);
  EXPECT_EQ(client->results.size(), 4u);  // Every ten seconds from then on.
}

TEST_F(AutonatTest, ClientBehindANatLearnsIt) {
  add_client_behind_nat();
  client->client.start();
  auto [connected] = world.run(swarm::connect(client->node, server->node.peer()));
  introduce();
  world.run_for(14s);
  ASSERT_EQ(client->results.size(), 1u);
  EXPECT_EQ(client->results[0].status, Status::dial_error);
}

TEST_F(AutonatTest, FixedServerIsDialedAfterTheBootDelay) {
  add_client("1.2.3.4");
  client->client.start();
  const auto at = addr("/ip4/5.6.7.8/tcp/4001");
  EXPECT_TRUE(client->client.add_server(server->node.peer(), {at}));
  world.run_for(4900ms);
  EXPECT_TRUE(client->outbound.empty());
  world.run_for(2s);
  EXPECT_EQ(client->results.size(), 1u);
}

TEST_F(AutonatTest, WithoutServerOrAddressItSaysSoAndGoesOn) {
  add_client("1.2.3.4");
  client->client.start();
  world.run_for(16s);
  ASSERT_EQ(client->outbound.size(), 2u);
  EXPECT_FALSE(client->outbound[0].server);
  client->addresses = {addr("/ip4/192.168.1.5/tcp/4001"), addr("/ip4/1.2.3.4/udp/1/quic-v1")};
  world.run_for(10s);
  EXPECT_EQ(client->client.metrics().no_address.value(), 1u);
}

TEST_F(AutonatTest, HangingUpIsNoResultAndIsBackedOffFrom) {
  server->node.swarm.handle(std::string(kProtocol), {}, hang_up);
  add_client("1.2.3.4");
  client->client.start();
  const auto at = addr("/ip4/5.6.7.8/tcp/4001");
  EXPECT_TRUE(client->client.add_server(server->node.peer(), {at}));
  world.run_for(10min);

  EXPECT_TRUE(client->results.empty());
  const auto probes = client->client.metrics().probes.value();
  EXPECT_GE(probes, 5u);
  EXPECT_LE(probes, 10u);  // Not one every ten seconds, and never a hot loop.
}

TEST_F(AutonatTest, DeadServerCostsAFewDialsOnly) {
  add_client("1.2.3.4");
  client->client.start();
  const auto nowhere = addr("/ip4/5.6.7.8/tcp/9");
  EXPECT_TRUE(client->client.add_server(swarm::test_key(9).peer_id(), {nowhere}));
  world.run_for(10min);
  EXPECT_TRUE(client->results.empty());
  EXPECT_LE(client->client.metrics().probes.value(), 10u);
  EXPECT_GT(client->errors(), 0u);
}

TEST_F(AutonatTest, AnAddressThatCannotBeOursIsNoResult) {
  add_client("1.2.3.4");
  client->client.start();
  auto [connected] = world.run(swarm::connect(client->node, server->node.peer()));
  for (const auto* claimed : {"/ip4/127.0.0.1/tcp/4001", "/ip4/192.168.1.5/tcp/4001",
                              "/ip4/0.0.0.0/tcp/4001", "/ip4/1.2.3.4/tcp/4002"}) {
    server->node.swarm.handle(std::string(kProtocol), {}, [claimed](auto incoming) {
      return lie(std::move(incoming), addr(claimed));
    });
    introduce();
    world.run_for(11s);
    EXPECT_TRUE(client->results.empty()) << claimed;
  }
  EXPECT_GE(client->errors(), 4U);
}

TEST_F(AutonatTest, ConnectedServersArePreferredToThoseThatMustBeDialed) {
  add_client("1.2.3.4");
  for (std::uint8_t i = 0; i < 100; ++i) {
    const auto dead = "/ip4/5.6.8." + std::to_string(i) + "/tcp/4001";
    const auto peer = swarm::test_key(100 + i).peer_id();
    EXPECT_TRUE(client->client.add_server(peer, {addr(dead)}));
  }
  client->client.start();
  auto [connected] = world.run(swarm::connect(client->node, server->node.peer()));
  introduce();
  world.run_for(35s);
  EXPECT_EQ(client->results.size(), 4U);
}

TEST_F(AutonatTest, LostServersMakeRoomForNewOnes) {
  add_client("1.2.3.4");
  const auto add = [&](std::uint8_t number) {
    std::array<std::uint8_t, 32> seed{};
    seed[1] = number;
    seed[2] = 1;
    return client->client.add_server(KeyPair::from_seed(seed).peer_id(), {});
  };
  for (int i = 0; i < 256; ++i) EXPECT_TRUE(add(std::uint8_t(i)));
  EXPECT_TRUE(client->client.add_server(server->node.peer(), {}));
}

TEST_F(AutonatTest, WhoJudgesTheAnswersSetsTheNextProbe) {
  add_client("1.2.3.4");
  client->client.start();
  auto [connected] = world.run(swarm::connect(client->node, server->node.peer()));
  introduce();
  world.run_for(1s);
  client->client.probe_at(world.now() + 30s);
  world.run_for(29s);
  EXPECT_EQ(client->results.size(), 1u);
  world.run_for(2s);
  EXPECT_EQ(client->results.size(), 2u);
}

}  // namespace
}  // namespace pyrsia::autonat

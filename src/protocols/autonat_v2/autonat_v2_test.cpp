#include "protocols/autonat_v2/client.hpp"
#include "protocols/autonat_v2/exchange.hpp"
#include "protocols/autonat_v2/server.hpp"
#include "protocols/autonat_v2/test_node.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "wire/finish.hpp"
#include "wire/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace pyrsia::autonat_v2 {
namespace {

using namespace std::chrono_literals;

/// A server on the internet and a client, 50 ms apart; the client is where the test puts it.
class AutonatV2Test : public testing::Test {
 protected:
  AutonatV2Test() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    server = std::make_unique<Node>(net.add_host({"s", {"5.6.7.8"}, nullptr, 0ms}), 1);
    server->node.listen("/ip4/5.6.7.8/tcp/4001");
    server->server.start();
  }
  ~AutonatV2Test() override {
    if (client) stop(*client);
    stop(*server);
  }
  void stop(Node& node) {
    auto [stopped] = world.run(node.stop());
    EXPECT_TRUE(stopped);
  }

  void add_client(std::vector<std::string> ips, sim::SimNat* behind = nullptr) {
    client_machine = &net.add_host({"c", ips, behind, 0ms});
    client = std::make_unique<Node>(*client_machine, 2);
    for (const auto& ip : ips) {
      const auto family = ip.contains(':') ? "/ip6/" : "/ip4/";
      client->addresses.push_back(client->node.listen(family + ip + "/tcp/4001"));
    }
    client->node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
  }
  sim::NatConfig nat_at(const std::string& ip) {
    sim::NatConfig config;
    config.external = {*IpAddress::parse(ip)};
    return config;
  }
  void add_client_behind(const sim::NatConfig& config) {
    nat = &net.add_nat(config);
    add_client({"192.168.1.5"}, nat);
    client->addresses = {addr("/ip4/9.9.9.9/tcp/4001")};
  }
  /// Connects and lets the client know what the server speaks, as Identify would.
  void introduce(Node& to) {
    auto [connected] = world.run(swarm::connect(client->node, to.node.peer()));
    EXPECT_TRUE(connected);
    const std::vector<std::string> protocols{std::string(kDialRequestProtocol)};
    client->node.swarm.peer_store().set_protocols(to.node.peer(), protocols);
    for (const auto& each : client->node.swarm.connections_to(to.node.peer()))
      client->client.on_identified(each, protocols);
  }
  /// Starts the client with the server connected; its first result.
  const AddressResult& first_result(Duration within) {
    client->client.start();
    introduce(*server);
    world.run_for(within);
    EXPECT_FALSE(client->results.empty());
    if (client->results.empty()) client->results.emplace_back(server->node.peer());
    return client->results.front();
  }
  /// What the server answers; its dial-backs find nobody who knows the nonce.
  DialResponse asked(const std::vector<std::string>& texts) {
    DialRequest request{{}, 99};
    for (const auto& text : texts) request.addresses.push_back(addr(text));
    return asked_raw(encode(request));
  }
  DialResponse asked_raw(Bytes bytes) {
    auto [response] = world.run(ask_raw(*client, server->node.peer(), std::move(bytes)));
    EXPECT_TRUE(response) << response.error();
    return response ? *response : DialResponse();
  }

  sim::World world;
  sim::Network net{world};
  sim::SimNat* nat = nullptr;
  sim::SimHost* client_machine = nullptr;
  std::unique_ptr<Node> server;
  std::unique_ptr<Node> client;
  std::unique_ptr<Dialer> busy_dialer;
  std::unique_ptr<Server> busy_server;
};

TEST_F(AutonatV2Test, PublicClientKnowsItWithinAFewRoundTrips) {
  add_client({"1.2.3.4"});
  const auto& result = first_result(1s);

  EXPECT_EQ(result.verdict, Reachability::reachable) << result.reason;
  EXPECT_EQ(result.address, addr("/ip4/1.2.3.4/tcp/4001"));
  EXPECT_EQ(result.server, server->node.peer());
  EXPECT_EQ(result.server_ip, IpAddress::v4({5, 6, 7, 8}));
  EXPECT_EQ(result.dialed_from, IpAddress::v4({5, 6, 7, 8}));
  EXPECT_TRUE(result.is_from_known_ip);
  EXPECT_EQ(result.response_status, ResponseStatus::ok);
  EXPECT_EQ(result.dial_status, DialStatus::ok);
  EXPECT_EQ(client->outbound.size(), 2u);
  EXPECT_EQ(client->outbound[1].stage, OutboundProbe::Stage::response);
  EXPECT_EQ(client->client.metrics().dial_data_bytes.value(), 0u);
  EXPECT_FALSE(client->client.is_expecting_dial_backs());
}

TEST_F(AutonatV2Test, DialBackComesFromAFreshPortAndIsClosedAfterwards) {
  server->node.listen("/ip4/0.0.0.0/tcp/4000");
  add_client({"1.2.3.4"});
  first_result(1s);
  ASSERT_EQ(client->node.heard.connected.size(), 2u);
  const auto& back = client->node.heard.connected[1];
  EXPECT_EQ(back.direction, swarm::Direction::inbound);
  EXPECT_NE(back.remote.port(), 4000);
  EXPECT_NE(back.remote.port(), 4001);
  ASSERT_EQ(client->node.heard.disconnected.size(), 1u);
  EXPECT_EQ(client->node.heard.disconnected[0].id, back.id);
  EXPECT_TRUE(client->node.swarm.is_connected(server->node.peer()));
}

TEST_F(AutonatV2Test, ServerReportsProbesAsOfV1) {
  add_client({"1.2.3.4"});
  first_result(1s);
  ASSERT_EQ(server->inbound.size(), 2u);
  EXPECT_EQ(server->inbound[0].stage, InboundProbe::Stage::request);
  EXPECT_EQ(server->inbound[0].peer, client->node.peer());
  EXPECT_EQ(server->inbound[1].stage, InboundProbe::Stage::response);
  EXPECT_EQ(server->server.metrics().reached.value(), 1u);
}

TEST_F(AutonatV2Test, ClientBehindANatIsToldSoAfterTheDialTimeout) {
  add_client_behind(nat_at("9.9.9.9"));
  const auto& result = first_result(5s);
  EXPECT_EQ(result.verdict, Reachability::unreachable) << result.reason;
  EXPECT_EQ(result.dial_status, DialStatus::dial_error);
  EXPECT_FALSE(result.dialed_from);
  // Connected after 200 ms, there and back, and the patience for a round trip of 100 ms.
  EXPECT_EQ(result.at, TimePoint(200ms + 100ms + 800ms));
}

TEST_F(AutonatV2Test, ALineThatIsFullIsNotTakenForAClosedDoor) {
  add_client({"1.2.3.4"});
  EXPECT_EQ(first_result(3s).verdict, Reachability::reachable);
  EXPECT_EQ(server->server.metrics().dials_in_a_hurry.value(), 0u);
  sim::PathConfig full;
  full.one_way_delay = 600ms;
  net.set_default_path(full);
  const auto response = asked({"/ip4/1.2.3.4/tcp/4001"});
  EXPECT_EQ(response.status, ResponseStatus::ok);
  EXPECT_NE(response.dial_status, DialStatus::dial_error);
  EXPECT_EQ(server->server.metrics().dials_in_a_hurry.value(), 1u);
}

TEST_F(AutonatV2Test, AForwardedPortIsReachableThroughTheNat) {
  auto config = nat_at("9.9.9.9");
  config.forwards = {{sim::Protocol::tcp, 4001, {IpAddress::v4({192, 168, 1, 5}), 4001}}};
  add_client_behind(config);
  EXPECT_EQ(first_result(1s).verdict, Reachability::reachable);
}

TEST_F(AutonatV2Test, AnotherIpCostsDialData) {
  add_client({"1.2.3.4", "2600::4"});
  auto& v6 = net.add_host({"v6", {"5.6.7.9", "2600::8"}, nullptr, 0ms});
  Node dual(v6, 3);
  dual.node.listen("/ip4/5.6.7.9/tcp/4001");
  dual.server.start();
  client->addresses = {addr("/ip6/2600::4/tcp/4001")};
  client->node.knows(dual.node, {"/ip4/5.6.7.9/tcp/4001"});
  client->client.start();
  introduce(dual);
  world.run_for(5s);

  ASSERT_EQ(client->results.size(), 1u);
  EXPECT_EQ(client->results[0].verdict, Reachability::reachable) << client->results[0].reason;
  const auto paid = client->client.metrics().dial_data_bytes.value();
  EXPECT_GE(paid, kMinDialDataBytes);
  EXPECT_LE(paid, kMaxDialDataBytes);
  EXPECT_EQ(dual.server.metrics().dial_data_asked.value(), 1u);
  EXPECT_FALSE(client->results[0].is_from_known_ip);  // IPv6 was never spoken before.
  stop(dual);
}

TEST_F(AutonatV2Test, AServerWithoutIpv6RefusesAndDialsTheNextThatItCan) {
  add_client({"1.2.3.4", "2600::4"});
  EXPECT_EQ(asked({"/ip6/2600::4/tcp/4001"}).status, ResponseStatus::dial_refused);
  const auto second = asked({"/ip6/2600::4/tcp/4001", "/ip4/1.2.3.4/tcp/4001"});
  EXPECT_EQ(second.status, ResponseStatus::ok);
  EXPECT_EQ(second.address_index, 1u);
}

TEST_F(AutonatV2Test, WhatIsNotToBeDialedIsRefused) {
  add_client({"1.2.3.4"});
  const std::vector<std::string> never{
      "/ip4/192.168.1.5/tcp/4001", "/ip4/127.0.0.1/tcp/4001",       "/ip4/0.0.0.0/tcp/4001",
      "/ip4/1.2.3.4/tcp/0",        "/dns4/example.org/tcp/4001",    "/ip4/1.2.3.4/udp/4001/quic-v1",
      "/ip4/5.6.7.8/tcp/4001",     "/ip4/1.2.3.4/tcp/1/p2p-circuit"};
  for (const auto& text : never)
    EXPECT_EQ(asked({text}).status, ResponseStatus::dial_refused) << text;
  const auto foreign = addr("/ip4/1.2.3.4/tcp/4001").with_peer(server->node.peer());
  EXPECT_EQ(asked({foreign.to_string()}).status, ResponseStatus::dial_refused);
  EXPECT_EQ(asked_raw(encode(DialRequest{{}, 99})).status, ResponseStatus::dial_refused);
  EXPECT_EQ(server->node.swarm.metrics().dials.value(), 0u);
}

// The firewall in front of us does not know of connections that we make to ourselves.
TEST_F(AutonatV2Test, NobodyLearnsByUsWhichOfOurPortsAreOpenInside) {
  add_client({"1.2.3.4"});
  EXPECT_EQ(asked({"/ip4/5.6.7.8/tcp/5432"}).status, ResponseStatus::dial_refused);
  EXPECT_EQ(server->server.metrics().dial_data_asked.value(), 0u);
}

TEST_F(AutonatV2Test, OnlyTheFirstFiftyAddressesAreConsidered) {
  add_client({"1.2.3.4"});
  for (const std::size_t before : {49u, 50u}) {
    DialRequest request{std::vector<Multiaddr>(before), 99};
    request.addresses.push_back(addr("/ip4/1.2.3.4/tcp/4001"));
    const auto response = asked_raw(encode(request));
    EXPECT_EQ(response.status == ResponseStatus::ok, before == 49) << before;
    EXPECT_EQ(response.address_index, before == 49 ? 49u : 0u);
  }
}

TEST_F(AutonatV2Test, TenThousandAddressesAreRejectedAndMalformedRequestsReset) {
  add_client({"1.2.3.4"});
  const Bytes huge(80'000, 0x0a);
  EXPECT_EQ(asked_raw(huge).status, ResponseStatus::request_rejected);
  const auto peer = server->node.peer();
  auto [garbage] = world.run(ask_raw(*client, peer, Bytes{0xff, 0xff}));
  EXPECT_FALSE(garbage);
  EXPECT_EQ(server->server.metrics().malformed.value(), 1u);
  EXPECT_EQ(asked({"/ip4/1.2.3.4/tcp/4001"}).status, ResponseStatus::ok);  // Nothing is lost.
}

TEST_F(AutonatV2Test, ThirteenthRequestOfAPeerWithinAMinuteIsRejected) {
  add_client({"1.2.3.4"});
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(asked({"/ip4/10.0.0.1/tcp/1"}).status, ResponseStatus::dial_refused) << i;
  EXPECT_EQ(asked({"/ip4/10.0.0.1/tcp/1"}).status, ResponseStatus::request_rejected);
  world.run_for(1min);
  EXPECT_EQ(asked({"/ip4/10.0.0.1/tcp/1"}).status, ResponseStatus::dial_refused);
}

TEST_F(AutonatV2Test, ThirdRequestAtOnceOfAPeerIsRejected) {
  add_client_behind(nat_at("9.9.9.9"));
  const auto bytes = encode(DialRequest{{addr("/ip4/9.9.9.9/tcp/4001")}, 99});
  const auto peer = server->node.peer();
  auto [connected] = world.run(swarm::connect(client->node, peer));
  auto [one, two, three] = world.run(ask_raw(*client, peer, bytes), ask_raw(*client, peer, bytes),
                                     ask_raw(*client, peer, bytes));
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ(one->dial_status, DialStatus::dial_error);
  EXPECT_EQ(two->dial_status, DialStatus::dial_error);
  EXPECT_EQ(three->status, ResponseStatus::request_rejected);
}

TEST_F(AutonatV2Test, FifthDialOfAForeignIpWithinAMinuteIsRejected) {
  add_client({"1.2.3.4"});
  net.add_host({"v", {"7.7.7.7"}, nullptr, 0ms});
  for (int i = 0; i < 4; ++i) {
    const auto response = asked({"/ip4/7.7.7.7/tcp/4001"});
    EXPECT_EQ(response.dial_status, DialStatus::dial_error) << i;
  }
  EXPECT_EQ(asked({"/ip4/7.7.7.7/tcp/4001"}).status, ResponseStatus::request_rejected);
  EXPECT_EQ(server->server.metrics().dial_data_asked.value(), 4u);
}

TEST_F(AutonatV2Test, WhoDoesNotPayIsNotServed) {
  add_client({"1.2.3.4"});
  auto& victim = net.add_host({"v", {"7.7.7.7"}, nullptr, 0ms});
  const auto peer = server->node.peer();
  const auto bytes = encode(DialRequest{{addr("/ip4/7.7.7.7/tcp/4001")}, 99});
  auto [connected] = world.run(swarm::connect(client->node, peer));
  for (const auto kind : {Payer::silent, Payer::tiny_chunks, Payer::dripping}) {
    const auto begin = world.now();
    auto [response] = world.run(ask_and_pay(*client, peer, bytes, kind));
    EXPECT_FALSE(response);
    EXPECT_LE(world.now() - begin, 11s);
  }
  EXPECT_EQ(server->server.metrics().dial_data_failed.value(), 3u);
  EXPECT_EQ(victim.connection_count(), 0u);
  EXPECT_EQ(server->node.swarm.metrics().dials.value(), 0u);
}

TEST_F(AutonatV2Test, DialDataInOneFrameThatIsTooLargeIsNotTaken) {
  add_client({"1.2.3.4"});
  const auto bytes = encode(DialRequest{{addr("/ip4/7.7.7.7/tcp/4001")}, 99});
  auto [response] = world.run(pay_at_once(*client, server->node.peer(), bytes));
  EXPECT_FALSE(response);
  EXPECT_EQ(server->server.metrics().dial_data_failed.value(), 1u);
  EXPECT_EQ(server->node.swarm.metrics().dials.value(), 0u);
}

TEST_F(AutonatV2Test, WhoPoursOnAfterPayingIsEndedAndCostsADialOnly) {
  add_client({"1.2.3.4"});
  net.add_host({"v", {"7.7.7.7"}, nullptr, 0ms});
  const auto bytes = encode(DialRequest{{addr("/ip4/7.7.7.7/tcp/4001")}, 99});
  const auto begin = world.now();
  auto [poured] = world.run(pay_for_ever(*client, server->node.peer(), bytes));
  EXPECT_FALSE(poured);
  EXPECT_LE(world.now() - begin, 12s);
  EXPECT_EQ(server->server.metrics().not_reached.value(), 1u);
  EXPECT_EQ(asked({"/ip4/1.2.3.4/tcp/4001"}).status, ResponseStatus::ok);  // Nothing is held.
}

TEST_F(AutonatV2Test, TenThousandWellFormedAddressesAreRejected) {
  add_client({"1.2.3.4"});
  const DialRequest request{std::vector<Multiaddr>(10'000, addr("/ip4/1.2.3.4/tcp/4001")), 99};
  EXPECT_EQ(asked_raw(encode(request)).status, ResponseStatus::request_rejected);
  EXPECT_EQ(server->node.swarm.metrics().dials.value(), 0u);
}

TEST_F(AutonatV2Test, AClientThatTakesNoNonceIsToldThatItWasDialed) {
  add_client({"1.2.3.4"});  // Its AutoNAT client has not been started.
  const auto response = asked({"/ip4/1.2.3.4/tcp/4001"});
  EXPECT_EQ(response.status, ResponseStatus::ok);
  EXPECT_EQ(response.dial_status, DialStatus::dial_back_error);
  EXPECT_EQ(server->server.metrics().dial_back_errors.value(), 1u);
}

TEST_F(AutonatV2Test, AServerWithTooManyDialsUnderWayRejects) {
  DialerConfig config;
  config.max_dials = 0;
  auto& swarm = server->node.swarm;
  busy_dialer = std::make_unique<Dialer>(swarm, config);
  busy_server = std::make_unique<Server>(swarm, ServerConfig(), *busy_dialer, server->siblings,
                                         *server, Logger("autonat2", swarm::kNoLog));
  busy_server->start();  // In the place of the other.
  add_client({"1.2.3.4"});
  EXPECT_EQ(asked({"/ip4/1.2.3.4/tcp/4001"}).status, ResponseStatus::request_rejected);
  EXPECT_EQ(busy_server->metrics().failed.value(), 1u);
}

TEST_F(AutonatV2Test, WithoutLimitsOfOnePeerTheLimitOfItsIpHolds) {
  auto& machine = net.add_host({"m", {"1.2.3.4"}, nullptr, 0ms});
  std::size_t rejected = 0;
  for (std::uint8_t i = 0; i < 25; ++i) {
    Node node(machine, std::uint8_t(10 + i));
    node.node.knows(server->node, {"/ip4/5.6.7.8/tcp/4001"});
    const auto bytes = encode(DialRequest{{addr("/ip4/10.0.0.1/tcp/1")}, 99});
    auto [response] = world.run(ask_raw(node, server->node.peer(), bytes));
    rejected += response && response->status == ResponseStatus::request_rejected;
    stop(node);
  }
  EXPECT_EQ(rejected, 1u);
}

TEST_F(AutonatV2Test, AClaimWithoutANonceIsNoEvidence) {
  server->node.swarm.handle(std::string(kDialRequestProtocol), {}, claim_success);
  add_client({"1.2.3.4"});
  const auto& result = first_result(6s);
  EXPECT_EQ(result.verdict, Reachability::unknown);
  EXPECT_EQ(result.address, addr("/ip4/1.2.3.4/tcp/4001"));
  EXPECT_EQ(client->client.metrics().unproven.value(), 1u);
}

TEST_F(AutonatV2Test, ANonceOnTheConnectionThatWeAskedOverIsNoEvidence) {
  auto& swarm = server->node.swarm;
  swarm.handle(std::string(kDialRequestProtocol), {}, [&swarm](swarm::IncomingStream incoming) {
    return answer_over_same_connection(swarm, std::move(incoming));
  });
  add_client({"1.2.3.4"});
  const auto& result = first_result(2s);
  EXPECT_EQ(client->client.metrics().dial_backs.value(), 1u);
  EXPECT_EQ(result.verdict, Reachability::unknown) << result.reason;
}

TEST_F(AutonatV2Test, UnknownAndRepeatedNoncesAreIgnoredAndTheConnectionLives) {
  auto& swarm = server->node.swarm;
  swarm.handle(std::string(kDialRequestProtocol), {}, [&swarm](swarm::IncomingStream incoming) {
    return answer_over_same_connection(swarm, std::move(incoming));
  });
  add_client({"1.2.3.4"});
  first_result(2s);
  // What it asked for last is over, so both of these come too late.
  for (const std::uint64_t nonce : {1u, 2u}) {
    auto [sent] = world.run(send_dial_back(server->node.swarm, client->node.peer(), nonce));
    EXPECT_FALSE(sent);
  }
  EXPECT_EQ(client->client.metrics().unknown_nonces.value(), 2u);
  EXPECT_TRUE(client->node.swarm.is_connected(server->node.peer()));
}

TEST_F(AutonatV2Test, OnePeerMayBringManyNoncesAtOnce) {
  add_client({"1.2.3.4"});
  first_result(1s);
  auto& swarm = server->node.swarm;
  const auto to = client->node.peer();
  auto results = world.run(send_dial_back(swarm, to, 1), send_dial_back(swarm, to, 2),
                           send_dial_back(swarm, to, 3), send_dial_back(swarm, to, 4),
                           send_dial_back(swarm, to, 5), send_dial_back(swarm, to, 6));
  EXPECT_EQ(std::get<5>(results).error(), Errc::reset);
  EXPECT_EQ(client->client.metrics().unknown_nonces.value(), 6u);
}

TEST_F(AutonatV2Test, ANonceHoldsOnceAndItsReplayIsReset) {
  std::size_t taken = 0;
  server->node.swarm.handle(std::string(kDialRequestProtocol), {},
                            [&](swarm::IncomingStream incoming) {
                              return serve_nonces(*server, {0, 0, 0}, taken, std::move(incoming));
                            });
  add_client({"1.2.3.4"});
  const auto& result = first_result(3s);
  EXPECT_EQ(result.verdict, Reachability::reachable) << result.reason;
  EXPECT_EQ(taken, 1u);
  EXPECT_EQ(client->client.metrics().dial_backs.value(), 1u);
  EXPECT_EQ(client->client.metrics().unknown_nonces.value(), 2u);
}

TEST_F(AutonatV2Test, AWrongNonceWithAClaimIsNoEvidence) {
  std::size_t taken = 0;
  server->node.swarm.handle(std::string(kDialRequestProtocol), {},
                            [&](swarm::IncomingStream incoming) {
                              return serve_nonces(*server, {1}, taken, std::move(incoming));
                            });
  add_client({"1.2.3.4"});
  const auto& result = first_result(8s);
  EXPECT_EQ(result.verdict, Reachability::unknown) << result.reason;
  EXPECT_EQ(result.dial_status, DialStatus::ok);
  EXPECT_FALSE(result.dialed_from);
  EXPECT_EQ(taken, 0u);
  EXPECT_EQ(client->client.metrics().unproven.value(), 1u);
}

TEST_F(AutonatV2Test, AServerThatWasLostWithOurAddressIsAskedAgainAtOnce) {
  add_client({"1.2.3.4"});
  client->client.start();
  introduce(*server);
  world.run_for(20ms);
  ASSERT_TRUE(client->client.is_expecting_dial_backs());
  client_machine->set_addresses({"1.2.3.5"});
  for (const auto& each : client->node.swarm.connections())
    client->node.swarm.close_connection(each.id);
  client->addresses = {client->node.listen("/ip4/1.2.3.5/tcp/4001")};
  introduce(*server);
  world.run_for(1s);
  ASSERT_EQ(client->results.size(), 2u);
  EXPECT_EQ(client->results[0].verdict, Reachability::unknown);
  EXPECT_EQ(client->results[1].verdict, Reachability::reachable) << client->results[1].reason;
}

TEST_F(AutonatV2Test, HangingUpIsNoEvidenceAndIsBackedOffFrom) {
  server->node.swarm.handle(std::string(kDialRequestProtocol), {}, hang_up);
  add_client({"1.2.3.4"});
  first_result(10min);
  for (const auto& result : client->results) EXPECT_EQ(result.verdict, Reachability::unknown);
  EXPECT_FALSE(client->results.front().response_status);
  // After 0, 5, 15, 35, 75, 155 and 315 s, with jitter.
  EXPECT_LE(client->client.metrics().probes.value(), 8u);
}

TEST_F(AutonatV2Test, RefusalIsNoEvidenceAndAnotherServerIsAsked) {
  add_client({"1.2.3.4", "2600::4"});
  client->addresses = {addr("/ip6/2600::4/tcp/4001")};
  Node dual(net.add_host({"v6", {"5.6.7.9", "2600::8"}, nullptr, 0ms}), 3);
  dual.node.listen("/ip4/5.6.7.9/tcp/4001");
  dual.server.start();
  client->node.knows(dual.node, {"/ip4/5.6.7.9/tcp/4001"});
  EXPECT_EQ(first_result(1s).response_status, ResponseStatus::dial_refused);
  EXPECT_EQ(client->results.front().verdict, Reachability::unknown);
  introduce(dual);
  world.run_for(5s);
  ASSERT_EQ(client->results.size(), 2u);
  EXPECT_EQ(client->results[1].verdict, Reachability::reachable);
  stop(dual);
}

TEST_F(AutonatV2Test, AfterFiveRefusalsAnAddressRests) {
  add_client({"1.2.3.4", "2600::4"});
  client->addresses = {addr("/ip6/2600::4/tcp/4001")};
  std::vector<std::unique_ptr<Node>> more;
  for (int i = 1; i <= 7; ++i) {
    const auto ip = "5.6.8." + std::to_string(i);
    more.push_back(
        std::make_unique<Node>(net.add_host({ip, {ip}, nullptr, 0ms}), std::uint8_t(10 + i)));
    more.back()->node.listen("/ip4/" + ip + "/tcp/4001");
    more.back()->server.start();
    client->node.knows(more.back()->node, {"/ip4/" + ip + "/tcp/4001"});
    introduce(*more.back());
  }
  first_result(9min);
  // Three at once at the start, so two more than five may be under way.
  EXPECT_GE(client->client.metrics().refused.value(), 5u);
  EXPECT_LE(client->client.metrics().refused.value(), 7u);
  for (const auto& node : more) stop(*node);
}

TEST_F(AutonatV2Test, AServerThatTakesTheLastAddressIsAskedOneByOne) {
  auto& swarm = server->node.swarm;
  swarm.handle(std::string(kDialRequestProtocol), {}, say_unreachable_of_the_last);
  add_client_behind(nat_at("9.9.9.9"));
  client->addresses = {addr("/ip4/9.9.9.9/tcp/4001"), addr("/ip4/9.9.9.9/tcp/4002")};
  first_result(5s);
  ASSERT_EQ(client->results.size(), 2u);
  EXPECT_EQ(client->results[0].address, client->addresses[1]);
  EXPECT_EQ(client->results[1].address, client->addresses[0]);
  EXPECT_EQ(client->results[1].asked.size(), 1u);
}

TEST_F(AutonatV2Test, AServerIsAskedOnTheConnectionThatWeDialedAndNotOnItsDialBacks) {
  add_client({"1.2.3.4"});
  client->addresses.push_back(client->node.listen("/ip4/1.2.3.4/tcp/4002"));
  server->node.swarm.handle(std::string(kDialRequestProtocol), {},
                            [this](swarm::IncomingStream incoming) {
                              return serve_as_rust(*server, *client, std::move(incoming));
                            });
  first_result(3s);
  ASSERT_EQ(client->results.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(client->results[i].address, client->addresses[i]);
    EXPECT_EQ(client->results[i].verdict, Reachability::reachable) << client->results[i].reason;
  }
  EXPECT_EQ(client->node.swarm.connections_to(server->node.peer()).size(), 3u);
  EXPECT_EQ(client->client.servers().size(), 1u);
}

TEST_F(AutonatV2Test, WhatHasBroughtANonceIsNeverAskedOver) {
  add_client({"1.2.3.4"});
  client->addresses.push_back(client->node.listen("/ip4/1.2.3.4/tcp/4002"));
  server->node.swarm.handle(std::string(kDialRequestProtocol), {},
                            [this](swarm::IncomingStream incoming) {
                              return serve_as_rust(*server, *client, std::move(incoming));
                            });
  first_result(3s);
  client->node.swarm.close_connection(client->node.swarm.connections_to(server->node.peer())[0].id);
  world.run_for(1s);
  client->node.swarm.peer_store().set_protocols(server->node.peer(),
                                                {std::string(kDialRequestProtocol)});
  EXPECT_EQ(client->node.swarm.connections_to(server->node.peer()).size(), 2u);
  EXPECT_TRUE(client->client.servers().empty());
}

TEST_F(AutonatV2Test, EachAddressHasItsOwnVerdict) {
  auto config = nat_at("9.9.9.9");
  config.forwards = {{sim::Protocol::tcp, 4001, {IpAddress::v4({192, 168, 1, 5}), 4001}}};
  add_client_behind(config);
  client->addresses = {addr("/ip4/9.9.9.9/tcp/4001"), addr("/ip4/9.9.9.9/tcp/4002")};
  first_result(6s);
  ASSERT_EQ(client->results.size(), 2u);
  EXPECT_EQ(client->results[0].address, client->addresses[0]);
  EXPECT_EQ(client->results[0].verdict, Reachability::reachable);
  EXPECT_EQ(client->results[1].address, client->addresses[1]);
  EXPECT_EQ(client->results[1].verdict, Reachability::unreachable);
}

TEST_F(AutonatV2Test, OneServerIsAskedAgainAboutAnAddressOnlyAfterTwoMinutes) {
  add_client({"1.2.3.4"});
  first_result(119s);
  EXPECT_EQ(client->results.size(), 1u);
  world.run_for(5s);
  EXPECT_EQ(client->results.size(), 2u);
}

TEST_F(AutonatV2Test, ATriggerAsksAtOnceWhoeverWasAskedBefore) {
  add_client_behind(nat_at("9.9.9.9"));
  EXPECT_EQ(first_result(6s).verdict, Reachability::unreachable);
  nat->table().add_forward({sim::Protocol::tcp, 4001, {IpAddress::v4({192, 168, 1, 5}), 4001}});
  client->client.probe(client->addresses);
  world.run_for(1s);
  ASSERT_EQ(client->results.size(), 2u);
  EXPECT_EQ(client->results[1].verdict, Reachability::reachable);
}

TEST_F(AutonatV2Test, ThreeServersAreAskedSideBySideAtTheStart) {
  add_client_behind(nat_at("9.9.9.9"));
  std::vector<std::unique_ptr<Node>> more;
  for (const std::string ip : {"5.6.8.1", "5.6.8.2", "5.6.8.3"}) {
    auto& machine = net.add_host({ip, {ip}, nullptr, 0ms});
    more.push_back(std::make_unique<Node>(machine, std::uint8_t(10 + more.size())));
    more.back()->node.listen("/ip4/" + ip + "/tcp/4001");
    more.back()->server.start();
    client->node.knows(more.back()->node, {"/ip4/" + ip + "/tcp/4001"});
  }
  client->client.start();
  for (const auto& node : more) introduce(*node);
  introduce(*server);
  world.run_for(5s);
  EXPECT_EQ(client->results.size(), 3u);
  for (const auto& result : client->results)
    EXPECT_EQ(result.verdict, Reachability::unreachable) << result.reason;
  for (const auto& node : more) stop(*node);
}

// Peer ids cost nothing: those of one network are one opinion.
TEST_F(AutonatV2Test, OfManyServersOfOneNetworkOneIsAskedBeforeThoseOfOthers) {
  add_client({"1.2.3.4"});
  std::vector<std::unique_ptr<Node>> others;
  const auto add = [&](std::uint8_t number, const std::string& ip) {
    auto& machine = net.add_host({ip, {ip}, nullptr, 0ms});
    auto& node = *others.emplace_back(std::make_unique<Node>(machine, number));
    node.node.listen("/ip4/" + ip + "/tcp/4001");
    node.server.start();
    client->node.knows(node.node, {"/ip4/" + ip + "/tcp/4001"});
    introduce(node);
  };
  for (std::uint8_t i = 0; i < 20; ++i) add(std::uint8_t(10 + i), "6.6.6." + std::to_string(1 + i));
  add(40, "7.7.7.7");
  introduce(*server);
  client->client.start();
  client->client.reconsider();
  world.run_for(2s);
  std::set<std::string> asked;
  for (const auto& result : client->results)
    asked.insert(result.server_ip->to_string().substr(0, 3));
  EXPECT_EQ(asked, (std::set<std::string>{"5.6", "6.6", "7.7"}));
  for (const auto& each : others) stop(*each);
}

TEST_F(AutonatV2Test, TheNextRoundComesWhenItIsDue) {
  add_client({"1.2.3.4"});
  first_result(1s);
  client->client.probe_at(world.now() + 3min);
  world.run_for(2min + 59s);
  const auto before = client->results.size();
  world.run_for(2min);
  EXPECT_GT(client->results.size(), before);
}

}  // namespace
}  // namespace pyrsia::autonat_v2

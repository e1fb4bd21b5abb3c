#include "protocols/identify/identifier.hpp"

#include "protocols/identify/exchange.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::identify {
namespace {

using namespace std::chrono_literals;

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

struct Node final : identify::Observer {
  Node(Env& env, std::uint8_t number)
      : node(env, number),
        identifier(
            node.swarm, {}, [this] { return addresses; }, *this,
            Logger("identify", swarm::kNoLog)) {}
  void on_identified(const swarm::ConnectionInfo&, const Info& info) override {
    infos.push_back(info);
  }
  void on_identify_failed(const swarm::ConnectionInfo&, Error error) override {
    failures.push_back(error);
  }
  Task<> stop() {
    if (is_started) PYRSIA_CO_TRY(co_await identifier.stop());
    co_return co_await node.swarm.stop();
  }
  void start() {
    identifier.start();
    is_started = true;
  }

  bool is_started = false;
  std::vector<Multiaddr> addresses;
  std::vector<Info> infos;
  std::vector<Error> failures;
  swarm::TestNode node;
  Identifier identifier;
};

/// Two hosts on the internet, 50 ms apart, both listening; A knows where B is.
class IdentifierTest : public testing::Test {
 protected:
  IdentifierTest() {
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
    a.addresses = {a.node.listen("/ip4/1.2.3.4/tcp/4001"), addr("/ip4/192.168.1.5/tcp/4001"),
                   addr("/ip4/127.0.0.1/tcp/4001")};
    b.addresses = {b.node.listen("/ip4/5.6.7.8/tcp/4001")};
    a.node.knows(b.node, {"/ip4/5.6.7.8/tcp/4001"});
    world.run_for(2s);
  }
  ~IdentifierTest() override {
    auto [at_a, at_b] = world.run(a.stop(), b.stop());
    EXPECT_TRUE(at_a && at_b);
  }
  void connect() {
    auto [connected] = world.run(swarm::connect(a.node, b.node.peer()));
    ASSERT_TRUE(connected) << connected.error();
    world.run_for(1s);
  }

  sim::World world;
  sim::Network net{world};
  Node a{net.add_host({"a", {"1.2.3.4"}, nullptr, 0ms}), 1};
  Node b{net.add_host({"b", {"5.6.7.8"}, nullptr, 0ms}), 2};
};

TEST_F(IdentifierTest, BothSidesOfANewConnectionLearnOfEachOther) {
  a.start();
  b.start();
  connect();

  ASSERT_EQ(a.infos.size(), 1u);
  ASSERT_EQ(b.infos.size(), 1u);
  EXPECT_EQ(a.infos[0].agent, "pyrsia/0.1.0");
  EXPECT_EQ(a.infos[0].protocol_version, "ipfs/1.0.0");
  EXPECT_TRUE(a.infos[0].record_sequence);
  EXPECT_EQ(a.infos[0].observed, addr("/ip4/1.2.3.4/tcp/4001"));  // Dialed from the listener.
  EXPECT_EQ(b.infos[0].observed, addr("/ip4/5.6.7.8/tcp/4001"));
  EXPECT_EQ(*b.infos[0].addresses, std::vector{addr("/ip4/1.2.3.4/tcp/4001")});
  EXPECT_EQ(b.node.swarm.peer_store().addresses(a.node.peer(), world.now()),
            std::vector{addr("/ip4/1.2.3.4/tcp/4001")});
  EXPECT_TRUE(a.node.swarm.peer_store().supports(b.node.peer(), kPushProtocol));
  EXPECT_TRUE(a.node.swarm.peer_store().supports(b.node.peer(), "/echo/1"));
}

TEST_F(IdentifierTest, PeerWithoutIdentifyIsReportedAndKept) {
  a.start();
  connect();
  EXPECT_EQ(a.failures, std::vector<Error>{Errc::not_supported});
  EXPECT_TRUE(a.node.swarm.is_connected(b.node.peer()));
}

TEST_F(IdentifierTest, ChangesArePushedOnceAfterASecond) {
  a.start();
  b.start();
  connect();
  world.run_for(5s);
  const auto before = b.infos.size();

  a.addresses.push_back(addr("/ip4/1.2.3.4/tcp/5001"));
  a.identifier.addresses_changed();
  a.node.swarm.handle("/new/1", {}, swarm::echo);
  a.identifier.addresses_changed();
  world.run_for(900ms);
  EXPECT_EQ(b.infos.size(), before);
  world.run_for(2s);

  ASSERT_EQ(b.infos.size(), before + 1);
  EXPECT_EQ(b.infos.back().kind, Kind::push);
  EXPECT_EQ(b.infos.back().addresses->size(), 2u);
  EXPECT_TRUE(b.node.swarm.peer_store().supports(a.node.peer(), "/new/1"));
  EXPECT_EQ(a.identifier.metrics().pushes_sent.value(), 1u);
}

TEST_F(IdentifierTest, CanBeStoppedInTheMiddleOfAPush) {
  world.set_run_limit(1min);
  a.start();
  b.start();
  connect();
  world.run_for(5s);
  a.addresses.push_back(addr("/ip4/1.2.3.4/tcp/5001"));
  a.identifier.addresses_changed();
  world.run_for(1s + 10ms);  // The push has begun and is under way.

  auto [stopped] = world.run(a.stop());

  EXPECT_TRUE(stopped) << world.deadlock_report();
  EXPECT_EQ(a.identifier.metrics().pushes_sent.value(), 0U);
}

// Break the network at each operation of a push in turn: the peer still learns what has changed.
TEST_F(IdentifierTest, AChangeArrivesWhereverItsPushBreaks) {
  a.start();
  b.start();
  for (std::uint64_t broken = 0;; ++broken) {
    SCOPED_TRACE(broken);
    ASSERT_LT(broken, 100U);
    connect();
    const auto begun_at = net.operation_count();
    net.fail_operation(begun_at + broken);
    a.node.swarm.handle("/new/" + std::to_string(broken), {}, swarm::echo);
    a.identifier.addresses_changed();
    world.run_for(10s);
    const bool is_past_the_end = begun_at + broken >= net.operation_count();
    net.fail_operation(UINT64_MAX);

    connect();  // What broke was the connection; the next one tells of the change.

    EXPECT_TRUE(
        b.node.swarm.peer_store().supports(a.node.peer(), "/new/" + std::to_string(broken)));
    if (!is_past_the_end) continue;
    EXPECT_GT(broken, 5U);
    break;
  }
  EXPECT_GT(a.identifier.metrics().pushes_failed.value(), 0U);
  EXPECT_GT(a.identifier.metrics().pushes_sent.value(), 0U);
}

TEST_F(IdentifierTest, WhatHasNotChangedIsNotPushed) {
  a.start();
  b.start();
  connect();
  world.run_for(5s);
  const auto sent = a.identifier.metrics().pushes_sent.value();
  for (int i = 0; i < 20; ++i) {
    a.identifier.addresses_changed();
    world.run_for(2s);
  }
  EXPECT_EQ(a.identifier.metrics().pushes_sent.value(), sent);
}

TEST_F(IdentifierTest, PushesNeverDial) {
  a.start();
  b.start();
  connect();
  a.node.swarm.disconnect(b.node.peer());
  world.run_for(1s);
  const auto dials = a.node.swarm.metrics().dials.value();
  a.addresses.pop_back();
  a.identifier.addresses_changed();
  world.run_for(10s);
  EXPECT_EQ(a.node.swarm.metrics().dials.value(), dials);
}

/// Serves Identify with the given bytes, or with silence.
struct BadPeer {
  Task<> serve(swarm::IncomingStream incoming) {
    if (bytes.empty()) co_return co_await env.sleep_for(1min);
    PYRSIA_CO_TRY(co_await incoming.stream->write_all(bytes));
    co_return co_await incoming.stream->close_write();
  }
  Env& env;
  Bytes bytes;
};

TEST_F(IdentifierTest, ImpostorsMessageIsDiscarded) {
  Message message;
  message.public_key = a.node.key.public_key().to_protobuf();
  message.protocols = {"/x"};
  auto bytes = encode(message);
  bytes.insert(bytes.begin(), std::uint8_t(bytes.size()));
  BadPeer bad{b.node.env, bytes};
  b.node.swarm.handle(std::string(kProtocol), {}, [&](swarm::IncomingStream incoming) {
    return bad.serve(std::move(incoming));
  });
  a.start();
  connect();

  EXPECT_EQ(a.failures, std::vector<Error>{Errc::wrong_peer});
  EXPECT_FALSE(a.node.swarm.peer_store().supports(b.node.peer(), "/x"));
  EXPECT_EQ(a.identifier.metrics().discarded.value(), 1u);
}

TEST_F(IdentifierTest, SilentPeerCostsFiveSeconds) {
  BadPeer bad{b.node.env, {}};
  b.node.swarm.handle(std::string(kProtocol), {}, [&](swarm::IncomingStream incoming) {
    return bad.serve(std::move(incoming));
  });
  a.start();
  connect();
  world.run_for(3s);
  EXPECT_TRUE(a.failures.empty());
  world.run_for(2s);
  EXPECT_EQ(a.failures, std::vector<Error>{Errc::timed_out});
  world.run_for(1min);
}

}  // namespace
}  // namespace pyrsia::identify

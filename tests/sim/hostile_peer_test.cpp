// A peer that proves who it is and then breaks the rules, at each step of each protocol and from
// either side: it costs its own stream, or its own connection, and nothing else.
#include "mux/yamux/wire.hpp"
#include "runtime/timeout.hpp"
#include "secure/noise/handshake.hpp"
#include "sim_node.hpp"
#include "swarm/test_node.hpp"
#include "transport/quic/transport.hpp"
#include "wire/multistream.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;

const std::string kUrl = "http://1.2.3.10:7888/status";
/// After this any stream of a peer that is silent must have been ended.
constexpr Duration kPatience = 40s;

struct Payload {
  const char* name;
  Bytes bytes;
};

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

std::vector<Payload> payloads() {
  Bytes endless{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
  endless.resize(20'000, 'x');
  Bytes short_of_its_length{0xa0, 0x1f};
  short_of_its_length.resize(100, 'x');
  return {{"nothing", {}},
          {"one byte", {0x80}},
          {"an empty frame", {0}},
          {"a frame of no message", bytes_of("\x05\xff\xff\xff\xff\xff")},
          {"a length beyond all limits", endless},
          {"less than was promised", short_of_its_length},
          {"another protocol", bytes_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
          {"noise", Bytes(70'000, 0xff)}};
}

enum class End { close, reset, silence };
constexpr std::array kEnds{End::close, End::reset, End::silence};

/// Writes, ends as told, and waits until the other side has ended too.
Task<> misbehave(Stream& stream, Bytes bytes, End end) {
  (void)co_await stream.write_all(bytes);
  if (end == End::reset) {
    stream.reset();
    co_return ok;
  }
  if (end == End::close) (void)co_await stream.close_write();
  std::array<std::uint8_t, 512> answer;
  for (;;) {
    const auto count = co_await stream.read_some(answer);
    if (!count || *count == 0) co_return ok;
  }
}

Task<> attack(swarm::TestNode& attacker, PeerId victim, std::string protocol, Bytes bytes,
              End end) {
  auto opening = attacker.swarm.open_stream(std::move(victim), std::move(protocol));
  PYRSIA_CO_TRY(auto stream, co_await std::move(opening));
  auto misbehaving = misbehave(*stream, std::move(bytes), end);
  co_return co_await with_timeout(attacker.env, kPatience, std::move(misbehaving));
}

/// A boot server, somebody who attacks it, and a node that wants to join by it all the same.
struct Setting {
  explicit Setting(const std::string& address = "/ip4/1.2.3.10/tcp/44000")
      : network(world),
        boot(network.add_host({.name = "boot", .addresses = {"1.2.3.10"}}), 1, boot_by_both()),
        attacker(network.add_host({.name = "attacker", .addresses = {"6.6.6.6"}}), 66) {
    network.set_default_path({.one_way_delay = 10ms});
    const auto boot_id = key_of(1).peer_id();
    attacker.swarm.add_transport(std::make_unique<transport::quic::Transport>(
        attacker.env, attacker.key, transport::quic::Config()));
    attacker.swarm.peer_store().add_addresses(boot_id, {*Multiaddr::parse(address)},
                                              swarm::AddressSource::manual, world.now(), 24h);
  }

  static Config boot_by_both() {
    auto config = boot_config();
    config.listen = listen_by_both();
    return config;
  }

  /// The boot server still does its work for others, and all of it ends in order.
  void expect_no_harm_done() {
    SimNode node(network.add_host({.name = "node", .addresses = {"5.6.7.9"}}), 2,
                 node_config(kUrl));
    auto [started] = world.run(node.start());
    auto [judged] = world.run(node.wait_for(Reachability::reachable, 30s));
    EXPECT_TRUE(judged) << judged.error() << " " << node.host().nat().reason;
    auto [stopped, boot_stopped, attacker_stopped] =
        world.run(node.stop(), boot.stop(), attacker.swarm.stop());
    EXPECT_TRUE(started && stopped && boot_stopped && attacker_stopped) << world.deadlock_report();
  }

  sim::World world{1};
  sim::Network network;
  SimNode boot;
  swarm::TestNode attacker;
};

void break_every_rule(const std::string& address) {
  Setting setting(address);
  auto& world = setting.world;
  world.run(setting.boot.start());
  const auto boot_id = setting.boot.peer_id();
  for (const auto* protocol :
       {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/libp2p/autonat/1.0.0",
        "/libp2p/autonat/2/dial-request", "/libp2p/autonat/2/dial-back", "/pyrsia/nat/1"}) {
    for (const auto& payload : payloads()) {
      for (const auto end : kEnds) {
        SCOPED_TRACE(std::string(protocol) + ": " + payload.name + ", " +
                     std::to_string(static_cast<int>(end)));
        auto [done] = world.run(attack(setting.attacker, boot_id, protocol, payload.bytes, end));
        EXPECT_TRUE(done) << done.error();
        EXPECT_TRUE(setting.attacker.swarm.is_connected(boot_id)) << "a stream cost the connection";
        world.run_for(6s);  // Or the limits would spare the boot server what comes next.
      }
    }
  }
  setting.expect_no_harm_done();
}

TEST(HostilePeer, BreaksTheRulesInEveryProtocolThatWeServe) {
  break_every_rule("/ip4/1.2.3.10/tcp/44000");
}

TEST(HostilePeer, BreaksTheRulesInEveryProtocolThatWeServeOverQuic) {
  break_every_rule("/ip4/1.2.3.10/udp/44000/quic-v1");
}

/// Streams whose protocol is never agreed on.
Task<> attack_negotiation(SimNode& victim, swarm::TestNode& attacker, Bytes bytes, End end) {
  auto dialing = attacker.tcp->dial(*Multiaddr::parse("/ip4/1.2.3.10/tcp/44000"), victim.peer_id(),
                                    transport::DialOptions());
  PYRSIA_CO_TRY(auto connection, co_await std::move(dialing));
  struct Sink final : mux::StreamSink {
    void on_stream(std::unique_ptr<Stream>) override {}  // Resets it.
  } sink;
  TaskGroup tasks(attacker.env);
  tasks.spawn(connection.muxer->run(sink));
  auto stream = co_await connection.muxer->open_stream();
  Result<> done = Errc::closed;
  if (stream) {
    auto misbehaving = misbehave(**stream, std::move(bytes), end);
    done = co_await with_timeout(attacker.env, kPatience, std::move(misbehaving));
    stream->reset();
  }
  connection.muxer->close(mux::GoAway::normal);
  PYRSIA_CO_TRY(co_await tasks.join());
  co_return done;
}

TEST(HostilePeer, NeverAgreesOnAProtocol) {
  Setting setting;
  setting.world.run(setting.boot.start());
  for (const auto& payload : payloads()) {
    for (const auto end : kEnds) {
      SCOPED_TRACE(std::string(payload.name) + ", " + std::to_string(static_cast<int>(end)));
      auto [done] =
          setting.world.run(attack_negotiation(setting.boot, setting.attacker, payload.bytes, end));
      EXPECT_TRUE(done) << done.error();
    }
  }
  setting.expect_no_harm_done();
}

/// Proves who it is to the boot server. With `muxers` yamux is agreed on inside the handshake,
/// without them what follows stands where the muxer is negotiated.
Task<std::unique_ptr<secure::Channel>> connect(swarm::TestNode& attacker,
                                               std::vector<std::string> muxers) {
  const Endpoint remote{IpAddress::v4({1, 2, 3, 10}), SimNode::kPort};
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(auto socket, co_await attacker.env.tcp_connect(remote, options));
  const secure::noise::Identity identity(attacker.env, attacker.key, std::move(muxers));
  auto stream = wire::propose_lazily(std::move(socket), std::string(secure::noise::kProtocol));
  const auto role = Role::initiator;
  PYRSIA_CO_TRY(auto secured, co_await secure::noise::handshake(attacker.env, std::move(stream),
                                                                role, identity, std::nullopt));
  co_return std::move(secured.channel);
}

/// Says what no muxer says.
Task<> attack_muxer(swarm::TestNode& attacker, std::vector<std::string> muxers, Bytes bytes) {
  PYRSIA_CO_TRY(const auto channel, co_await connect(attacker, std::move(muxers)));
  const std::array<BytesView, 1> parts{{BytesView(bytes)}};
  (void)co_await channel->write(parts);
  for (;;) {
    const auto read = co_await channel->read();
    if (!read) co_return ok;
  }
}

TEST(HostilePeer, SpeaksNoMuxer) {
  Setting setting;
  auto& world = setting.world;
  world.run(setting.boot.start());
  const std::vector<std::vector<std::string>> offers{{"/yamux/1.0.0"}, {}};
  for (const auto& payload : payloads()) {
    for (const auto& muxers : offers) {
      SCOPED_TRACE(payload.name);
      // What says nothing at all is only left by the keep-alive.
      auto attacking = attack_muxer(setting.attacker, muxers, payload.bytes);
      auto [ended] = world.run(with_timeout(setting.attacker.env, 2min, std::move(attacking)));
      EXPECT_TRUE(ended) << ended.error();
    }
  }
  setting.expect_no_harm_done();
}

constexpr std::size_t kManyStreams = 100'000;

Task<> open_streams(secure::Channel& channel) {
  using namespace mux::yamux;
  Bytes headers;
  for (std::uint32_t i = 0; i < kManyStreams; ++i) {
    const auto header = encode({Type::window_update, kSyn, 2 * i + 1, 0});
    headers.insert(headers.end(), header.begin(), header.end());
    if (headers.size() < 60'000 && i + 1 < kManyStreams) continue;
    const std::array<BytesView, 1> parts{{BytesView(headers)}};
    PYRSIA_CO_TRY(co_await channel.write(parts));
    headers.clear();
  }
  co_return ok;
}

Task<> read_answers(secure::Channel& channel, std::size_t& bytes) {
  for (;;) {
    PYRSIA_CO_TRY(const auto read, co_await channel.read());
    bytes += read.size();
  }
}

/// Returns the bytes of the answers.
Task<std::size_t> flood_with_streams(swarm::TestNode& attacker) {
  std::vector<std::string> muxers{"/yamux/1.0.0"};
  PYRSIA_CO_TRY(const auto channel, co_await connect(attacker, std::move(muxers)));
  std::size_t answered = 0;
  TaskGroup tasks(attacker.env);
  tasks.spawn(read_answers(*channel, answered));
  PYRSIA_CO_TRY(co_await open_streams(*channel));
  PYRSIA_CO_TRY(co_await attacker.env.sleep_for(1s));
  channel->abort();
  PYRSIA_CO_TRY(co_await tasks.join());
  co_return answered;
}

TEST(HostilePeer, OpensAHundredThousandStreams) {
  Setting setting;
  auto& world = setting.world;
  world.run(setting.boot.start());
  auto [answered] = world.run(flood_with_streams(setting.attacker));
  ASSERT_TRUE(answered) << answered.error();
  EXPECT_GE(*answered, kManyStreams * mux::yamux::kHeaderBytes);  // It has heard it all.
  setting.expect_no_harm_done();
}

/// Answers each stream with the same bytes.
struct Liar {
  Task<> serve(std::unique_ptr<Stream> stream) {
    ++served;
    auto misbehaving = misbehave(*stream, bytes, end);
    co_return co_await std::move(misbehaving);
  }

  Bytes bytes;
  End end;
  int served = 0;
};

/// A node that has the peer at `address` as its AutoNAT server, besides the boot server, gets the
/// right verdict, and ends in order.
void expect_right_verdict(Setting& setting, const std::string& address) {
  auto& world = setting.world;
  auto config = node_config(kUrl);
  config.probe_servers = {*Multiaddr::parse(address)};
  SimNode node(setting.network.add_host({.name = "victim", .addresses = {"5.6.7.8"}}), 3, config);
  auto [started] = world.run(node.start());
  auto [judged] = world.run(node.wait_for(Reachability::reachable, 2min));
  EXPECT_TRUE(started);
  EXPECT_TRUE(judged) << judged.error() << " " << node.host().nat().reason;
  world.run_for(1min);
  EXPECT_EQ(node.host().nat().status, Reachability::reachable) << node.host().nat().reason;
  EXPECT_EQ(node.status_changes(), 1U);
  auto [stopped] = world.run(node.stop());
  EXPECT_TRUE(stopped) << world.deadlock_report();
}

TEST(HostilePeer, SaysNonsenseOfItself) {
  for (const auto& payload : payloads()) {
    for (const auto end : kEnds) {
      SCOPED_TRACE(std::string(payload.name) + ", " + std::to_string(static_cast<int>(end)));
      Setting setting;
      Liar liar{payload.bytes, end};
      setting.attacker.swarm.handle("/ipfs/id/1.0.0", swarm::ProtocolLimits(),
                                    [&liar](swarm::IncomingStream incoming) {
                                      return liar.serve(std::move(incoming.stream));
                                    });
      setting.attacker.listen("/ip4/0.0.0.0/tcp/44000");
      setting.world.run(setting.boot.start());

      expect_right_verdict(setting,
                           "/ip4/6.6.6.6/tcp/44000/p2p/" + setting.attacker.peer().to_string());

      EXPECT_GE(liar.served, 1) << "it was not asked";
      setting.expect_no_harm_done();
    }
  }
}

TEST(HostilePeer, AnswersProbesWithNonsense) {
  for (const auto& payload : payloads()) {
    for (const auto end : kEnds) {
      SCOPED_TRACE(std::string(payload.name) + ", " + std::to_string(static_cast<int>(end)));
      Setting setting;
      Liar liar{payload.bytes, end};
      auto config = boot_config();
      config.autonat.is_server = false;
      SimNode server(setting.network.add_host({.name = "liar", .addresses = {"6.6.6.7"}}), 77,
                     config);
      server.host().on("/libp2p/autonat/1.0.0", [&liar](PeerId, std::unique_ptr<Stream> stream) {
        return liar.serve(std::move(stream));
      });
      setting.world.run(setting.boot.start(), server.start());

      expect_right_verdict(setting, "/ip4/6.6.6.7/tcp/44000/p2p/" + server.peer_id().to_string());

      EXPECT_GE(liar.served, 1) << "it was not asked";
      auto [stopped] = setting.world.run(server.stop());
      EXPECT_TRUE(stopped);
      setting.expect_no_harm_done();
    }
  }
}

}  // namespace
}  // namespace pyrsia::test

/// Bad peers, bad networks, and addresses that change.
#include "transport/quic/connection_id.hpp"
#include "transport/quic/stateless.hpp"
#include "transport/quic/test_stranger.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

TEST(QuicRobustness, AnIdleConnectionLivesByKeepAlives) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(10min);
  EXPECT_TRUE(peers.end_a->is_serving());
  EXPECT_TRUE(peers.end_b->is_serving());
}

TEST(QuicRobustness, ADeadPeerIsNoticedAfterTheIdleTimeout) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.net.partition({&peers.host_a}, {&peers.host_b});
  peers.world.run_for(45s);
  EXPECT_FALSE(peers.end_a->is_serving());
  EXPECT_EQ(peers.end_a->reason(), Errc::timed_out);
  EXPECT_EQ(peers.end_b->reason(), Errc::timed_out);
  EXPECT_EQ(peers.a.metrics().idle_timeouts.value(), 1U);
}

TEST(QuicRobustness, APeerThatStartedAnewResetsTheOldConnection) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(1s);
  // The power fails; the next process has the same host key and port.
  peers.host_b.crash();
  peers.world.run_for(1s);
  peers.host_b.restart();
  Transport again(peers.host_b, test_key(2), Config());
  auto listener = again.listen(address("/ip4/0.0.0.0/udp/4001/quic-v1")).value();
  peers.world.run_for(16s);
  EXPECT_FALSE(peers.end_a->is_serving()) << "the reset was not understood";
  EXPECT_EQ(peers.end_a->reason(), Errc::reset);
  EXPECT_GE(again.metrics().resets.value(), 1U);
  listener.reset();
  peers.world.run(again.stop());
}

TEST(QuicRobustness, AServerMeasuresTheRoundTripAsItIsNow) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(3s);
  auto& server = *peers.end_b->connection.muxer;
  const auto at_ease = peers.world.now();
  server.measure_round_trip();
  EXPECT_EQ(server.round_trip_since(at_ease), std::nullopt);
  peers.world.run_for(200ms);
  EXPECT_GE(server.round_trip_since(at_ease).value_or(0s), 100ms);
  EXPECT_LE(server.round_trip_since(at_ease).value_or(1h), 130ms);
  auto [stream] = peers.world.run(server.open_stream());
  ASSERT_TRUE(stream);
  peers.world.run((*stream)->write_all(as_bytes("on its way")));
  EXPECT_TRUE(server.round_trip_since(at_ease)) << "what leaves later undoes no answer";
  peers.world.run_for(1s);
  peers.net.set_default_path(sim::delay_of(600ms));
  const auto in_a_queue = peers.world.now();
  server.measure_round_trip();
  peers.world.run_for(1s);
  EXPECT_EQ(server.round_trip_since(in_a_queue), std::nullopt);
  peers.world.run_for(500ms);
  EXPECT_GE(server.round_trip_since(in_a_queue).value_or(0s), 1200ms);
}

TEST(QuicRobustness, AListenerOutlivesItsSocket) {
  Peers peers;
  peers.host_b.crash();
  auto [accepted] = peers.world.run(accept_one(*peers.listener));
  EXPECT_EQ(accepted.error(), Errc::closed);
  EXPECT_EQ(peers.listener->address(), address("/ip4/0.0.0.0/udp/4001/quic-v1"));
  peers.listener->close();
  auto [again] = peers.world.run(accept_one(*peers.listener));
  EXPECT_EQ(again.error(), Errc::closed);
}

/// A connection whose end at B is gone, as B has lost its memory; what A still sends is caught.
struct LostPeer : Peers {
  LostPeer() {
    EXPECT_TRUE(connect());
    world.run_for(1s);
    host_b.crash();
    host_b.restart();
    socket = host_b.udp_bind(sim::at("5.6.7.8", 4001)).value();
    auto [caught] = world.run(catch_one());
    EXPECT_TRUE(caught);
  }
  Task<> catch_one() {
    PYRSIA_CO_TRY(const auto batch, co_await socket->receive_batch());
    packet.assign(batch[0].bytes.begin(), batch[0].bytes.end());
    from = batch[0].from;
    co_return ok;
  }
  /// As B would have made it, had it the socket.
  Bytes reset() {
    const auto key = Secrets(test_key(2)).reset_key(sim::at("0.0.0.0", 4001));
    StatelessPacket made;
    const auto id = BytesView(packet).subspan(1, kConnectionIdBytes);
    const auto out = make_reset(host_b, key, id, 43, made);
    return {out.begin(), out.end()};
  }
  void tell_a(BytesView bytes) {
    EXPECT_TRUE(socket->send(from, bytes));
    world.run_for(200ms);
  }

  std::unique_ptr<UdpSocket> socket;  ///< Where B listened.
  Bytes packet;
  Endpoint from;
};

TEST(QuicRobustness, AResetWithAWrongTokenIsIgnored) {
  LostPeer peers;
  auto reset = peers.reset();
  for (const std::size_t place : {std::size_t(1), std::size_t(16)}) {
    auto wrong = reset;
    wrong[wrong.size() - place] ^= 1;
    peers.tell_a(wrong);
    EXPECT_TRUE(peers.end_a->is_serving());
  }
  peers.tell_a(reset);
  EXPECT_FALSE(peers.end_a->is_serving());
  EXPECT_EQ(peers.end_a->reason(), Errc::reset);
}

// RFC 9000, 21.11: who sends a packet of a connection to another socket of the host would get the
// token that ends the connection.
TEST(QuicRobustness, AnotherPortOfTheHostDoesNotGiveAwayTheToken) {
  LostPeer peers;
  Transport again(peers.host_b, test_key(2), Config());
  auto other = again.listen(address("/ip4/0.0.0.0/udp/4002/quic-v1")).value();
  Stranger stranger(peers);
  EXPECT_TRUE(stranger.socket->send(sim::at("5.6.7.8", 4002), peers.packet));
  const auto answers = stranger.answers();
  ASSERT_EQ(answers.size(), 1U);
  peers.tell_a(answers[0]);
  EXPECT_TRUE(peers.end_a->is_serving());
  peers.tell_a(peers.reset());
  EXPECT_FALSE(peers.end_a->is_serving());
  other.reset();
  peers.world.run(again.stop());
}

Bytes long_header(std::uint32_t version, std::size_t size) {
  Bytes packet = {0xc0,
                  std::uint8_t(version >> 24),
                  std::uint8_t(version >> 16),
                  std::uint8_t(version >> 8),
                  std::uint8_t(version),
                  8,
                  1,
                  2,
                  3,
                  4,
                  5,
                  6,
                  7,
                  8,
                  8,
                  9,
                  8,
                  7,
                  6,
                  5,
                  4,
                  3,
                  2};
  packet.resize(size);
  return packet;
}

TEST(QuicRobustness, AnUnknownVersionIsAnsweredOnlyWhereThatAmplifiesNothing) {
  Peers peers;
  Stranger stranger(peers);
  stranger.send(long_header(0xff00001d, 1199));
  EXPECT_TRUE(stranger.answers().empty());
  stranger.send(long_header(0xff00001d, 1200));
  const auto answers = stranger.answers();
  ASSERT_EQ(answers.size(), 1U);
  const auto& answer = answers[0];
  const auto sent = long_header(0xff00001d, 1200);
  EXPECT_EQ(Bytes(answer.begin() + 1, answer.begin() + 5), Bytes(4, 0));
  EXPECT_LT(answer.size(), 60U);
  // Both ids, the other way round, and version 1. RFC 8999, 6.
  const Bytes destination(sent.begin() + 6, sent.begin() + 6 + sent[5]);
  const auto* const behind = sent.data() + 6 + sent[5];
  const Bytes source(behind + 1, behind + 1 + behind[0]);
  Bytes ids{std::uint8_t(source.size())};
  ids.insert(ids.end(), source.begin(), source.end());
  ids.push_back(std::uint8_t(destination.size()));
  ids.insert(ids.end(), destination.begin(), destination.end());
  EXPECT_EQ(Bytes(answer.begin() + 5, answer.begin() + 5 + long(ids.size())), ids);
  const Bytes versions(answer.begin() + 5 + long(ids.size()), answer.end());
  EXPECT_EQ(Bytes(versions.begin(), versions.begin() + 4), (Bytes{0, 0, 0, 1}));
}

TEST(QuicRobustness, WhatIsNoQuicGoesToTheOtherSinkOrIsDropped) {
  struct Sink final : DatagramSink {
    bool on_datagram(const Endpoint& local, const ReceivedDatagram& datagram) override {
      ports.push_back(local.port);
      texts.emplace_back(as_text(datagram.bytes));
      return true;
    }
    std::vector<std::uint16_t> ports;
    std::vector<std::string> texts;
  };
  Peers peers;
  Stranger stranger(peers);
  const Bytes stun = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  stranger.send(stun);
  EXPECT_TRUE(stranger.answers().empty());
  EXPECT_EQ(peers.b.metrics().unknown_datagrams.value(), 1U);
  Sink sink;
  peers.b.set_other_sink(&sink);
  stranger.send(stun);
  stranger.send(Bytes(64, 0x55));  // Looks like a short header: the padding of a hole punch.
  EXPECT_TRUE(stranger.answers().empty());
  ASSERT_EQ(sink.texts.size(), 2U);
  EXPECT_EQ(sink.ports[0], 4001);
  EXPECT_EQ(sink.texts[0], as_text(stun));
  peers.b.set_other_sink(nullptr);
  OutgoingDatagram raw;
  raw.to = stranger.socket->local();
  raw.bytes = as_bytes("padding");
  EXPECT_TRUE(peers.b.send_from(peers.b.sockets().at(0), raw));
  EXPECT_EQ(stranger.answers().size(), 1U);
  EXPECT_EQ(peers.b.send_from(sim::at("0.0.0.0", 9), raw).error(), Errc::not_found);
}

TEST(QuicRobustness, AnUnknownShortPacketGetsAShorterReset) {
  Peers peers;
  Stranger stranger(peers);
  stranger.send(Bytes(30, 0x55));
  stranger.send(Bytes(500, 0x55));
  stranger.send(Bytes(21, 0x55));
  const auto answers = stranger.answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].size(), 29U);
  EXPECT_EQ(answers[1].size(), 43U);
}

TEST(QuicRobustness, UnderLoadAPeerProvesItsAddressWithOneMoreRoundTrip) {
  Config config;
  config.retry_above_half_open = 0;
  Peers peers(1, config);
  ASSERT_TRUE(peers.connect());
  EXPECT_EQ(peers.world.now(), TimePoint(250ms));
  EXPECT_EQ(peers.b.metrics().retries.value(), 1U);
}

TEST(QuicRobustness, UnderLoadAPeerThatIsKnownNeedsNoRetry) {
  Config config;
  config.retry_above_half_open = 0;
  Peers peers(1, config);
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(1s);
  const auto begin = peers.world.now();
  auto [again, accepted] = peers.world.run(peers.dial_b(), accept_one(*peers.listener));
  ASSERT_TRUE(again && accepted);
  EXPECT_EQ(peers.world.now() - begin, Duration(150ms));  // The server's half of the handshake.
  EXPECT_EQ(peers.b.metrics().retries.value(), 1U);
  EXPECT_EQ(peers.b.metrics().known_addresses.value(), 1U);
}

TEST(QuicRobustness, ATokenOfAnotherAddressOrAnotherDayProvesNothing) {
  Config config;
  config.retry_above_half_open = 0;
  Peers peers(1, config);
  const Secrets secrets(test_key(2));
  const auto is_known = [&](const std::string& ip, BytesView token) {
    ngtcp2_pkt_hd header{};
    header.token = token.data();
    header.tokenlen = token.size();
    return has_address_token(peers.host_b, secrets, header, sim::at(ip, 5));
  };
  AddressToken made;
  const auto token = make_address_token(peers.host_b, secrets, sim::at("1.2.3.4", 99), made);
  EXPECT_TRUE(is_known("1.2.3.4", token));
  EXPECT_FALSE(is_known("1.2.3.5", token));
  EXPECT_FALSE(is_known("1.2.3.4", {}));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto bent = Bytes(token.begin(), token.end());
    bent[i] ^= 1;
    EXPECT_FALSE(is_known("1.2.3.4", bent)) << i;
    EXPECT_FALSE(is_known("1.2.3.4", token.first(i))) << i;
  }
  peers.host_b.set_wall_offset(std::chrono::hours(25));
  EXPECT_FALSE(is_known("1.2.3.4", token));
}

TEST(QuicRobustness, TooManyHalfOpenAreRefusedAtOnce) {
  Config config;
  config.max_half_open = 0;
  Peers peers(1, config);
  auto [dialed] = peers.world.run(peers.dial_b());
  EXPECT_EQ(dialed.error(), Errc::refused);
  EXPECT_EQ(peers.world.now(), TimePoint(100ms));
}

TEST(QuicRobustness, AClientThatNeverCompletesIsForgotten) {
  Peers peers;
  Stranger stranger(peers);
  stranger.send(first_packets(peers, 1)[0]);
  peers.world.run_for(1s);
  EXPECT_EQ(peers.b.half_open_count(), 1U);
  peers.world.run_for(10s);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
}

TEST(QuicRobustness, NobodyAcceptsSoTheListenerRefuses) {
  Config config;
  config.max_ready = 2;
  Peers peers(1, config);
  std::vector<Connection> dialed;
  for (int i = 0; i < 3; ++i) {
    auto [one] = peers.world.run(peers.dial_b());
    ASSERT_TRUE(one);
    dialed.push_back(*std::move(one));
  }
  peers.world.run_for(1s);
  EXPECT_EQ(peers.b.metrics().refused.value(), 1U);
  auto [confirmed] = peers.world.run(dialed[2].muxer->wait_confirmed());
  EXPECT_FALSE(confirmed);
}

TEST(QuicRobustness, ACertificateThatTheServerRefusesFailsTheConfirmation) {
  Peers peers;
  // By B's calendar A's certificate, made for 1975 to 4096, is not valid yet.
  peers.host_b.set_wall_offset(-std::chrono::hours(24 * 365 * 60));
  auto [dialed] = peers.world.run(peers.dial_b());
  ASSERT_TRUE(dialed) << dialed.error();  // B has not seen the certificate by now.
  auto [confirmed] = peers.world.run(dialed->muxer->wait_confirmed());
  EXPECT_EQ(confirmed.error(), Errc::refused);
  EXPECT_EQ(peers.world.now(), TimePoint(200ms));
  EXPECT_EQ(peers.b.half_open_count(), 0U);
  auto [stream] = peers.world.run(dialed->muxer->open_stream());
  EXPECT_EQ(stream.error(), Errc::closed);
}

TEST(QuicRobustness, ACertificateThatTheClientRefusesFailsTheDial) {
  Peers peers;
  peers.host_a.set_wall_offset(-std::chrono::hours(24 * 365 * 60));
  auto [dialed] = peers.world.run(peers.dial_b());
  EXPECT_EQ(dialed.error(), Errc::protocol_violation);
  peers.world.run_for(1s);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
}

/// Behind a NAT of a home: what a peer sees of it.
struct Home {
  explicit Home(Peers& p, const std::string& external) : peers(p) {
    sim::NatConfig config;
    config.external = {IpAddress::parse(external).value()};
    config.allocation = sim::PortAllocation::sequential;
    nat = &peers.net.add_nat(config);
    host = &peers.net.add_host({"home", {"192.168.1.2"}, nat});
    transport = std::make_unique<Transport>(*host, test_key(3), Config());
  }
  ~Home() {
    if (end) peers.world.run(end->finish());
    end.reset();
    peers.world.run(transport->stop());
  }
  Task<Connection> dial() {
    const auto remote = address("/ip4/5.6.7.8/udp/4001/quic-v1");
    co_return co_await transport->dial(remote, test_key(2).peer_id(), DialOptions());
  }
  void connect() {
    auto [dialed, accepted] = peers.world.run(dial(), accept_one(*peers.listener));
    ASSERT_TRUE(dialed && accepted);
    end = std::make_unique<End>(*host, *std::move(dialed));
    peers.end_b = std::make_unique<End>(peers.host_b, *std::move(accepted));
  }

  Peers& peers;
  sim::SimNat* nat = nullptr;
  sim::SimHost* host = nullptr;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<End> end;
};

Task<> rebind_at(Home& home, std::initializer_list<Duration> times) {
  for (const auto time : std::vector<Duration>(times)) {
    PYRSIA_CO_TRY(co_await home.host->sleep_for(time));
    home.nat->table().forget();
  }
  co_return ok;
}

Task<std::uint64_t> download(Home& home, std::uint64_t count) {
  PYRSIA_CO_TRY(const auto stream, co_await home.end->connection.muxer->open_stream());
  TaskGroup writing(*home.host);
  writing.spawn(write_numbers(*stream, count));
  const auto read = co_await read_numbers(*stream);
  if (!read) stream->reset();
  PYRSIA_CO_TRY(co_await writing.join());
  co_return read;
}

TEST(QuicRobustness, ANatThatForgetsItsMappingsLosesNoByte) {
  Peers peers;
  auto path = sim::delay_of(50ms);
  path.bytes_per_second = 1'000'000;
  peers.net.set_default_path(path);
  Home home(peers, "7.0.0.1");
  ASSERT_NO_FATAL_FAILURE(home.connect());
  const auto before = peers.end_b->connection.remote;
  auto downloading = with_timeout(*home.host, Duration(5min), download(home, 3'000'000));
  auto [read, rebound, echoed] = peers.world.run(
      std::move(downloading), rebind_at(home, {1s, 1s, 1s}), echo_next(*peers.end_b));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, 3'000'000U);
  EXPECT_TRUE(echoed);
  EXPECT_GE(peers.b.metrics().paths_validated.value(), 3U);
}

TEST(QuicRobustness, AHostThatMovesToAnotherNetworkKeepsItsConnection) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(1s);
  peers.host_a.set_addresses({"4.4.4.4"});
  peers.world.run_for(20s);
  EXPECT_TRUE(peers.end_a->is_serving());
  EXPECT_TRUE(peers.end_b->is_serving());
  EXPECT_GE(peers.b.metrics().paths_validated.value(), 1U);
}

TEST(QuicRobustness, ANewAddressOfOursIsShownToTheServerAtOnce) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(1s);
  peers.host_a.set_addresses({"4.4.4.4"});
  peers.world.run_for(160ms);  // There and back, and there again.
  EXPECT_EQ(peers.a.metrics().migrations.value(), 1U);
  EXPECT_EQ(peers.b.metrics().paths_validated.value(), 1U);
  peers.world.run_for(10min);
  EXPECT_TRUE(peers.end_a->is_serving());
  EXPECT_TRUE(peers.end_b->is_serving());
}

TEST(QuicRobustness, AnAddressThatComesLaterThanTheOldOneGoesIsUsedThen) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  peers.world.run_for(1s);
  peers.host_a.set_addresses({});
  peers.world.run_for(10s);
  EXPECT_EQ(peers.a.metrics().migrations.value(), 0U);
  peers.host_a.set_addresses({"4.4.4.4"});
  peers.world.run_for(160ms);
  EXPECT_EQ(peers.b.metrics().paths_validated.value(), 1U);
  peers.world.run_for(1min);
  EXPECT_TRUE(peers.end_a->is_serving());
}

TEST(QuicRobustness, ARouteThatChangesIsTriedAtOnceToo) {
  Peers peers;
  Home home(peers, "7.0.0.1");
  ASSERT_NO_FATAL_FAILURE(home.connect());
  peers.world.run_for(1s);
  // The router has another mapping for us, and the address of the host stays.
  home.nat->table().forget();
  home.host->announce_network_change();
  peers.world.run_for(260ms);
  EXPECT_EQ(peers.b.metrics().paths_validated.value(), 1U);
  EXPECT_TRUE(home.end->is_serving());
}

/// One echoed question, whatever breaks on the way.
void one_question(std::uint64_t failing, std::uint64_t& operations) {
  Peers peers;
  peers.net.fail_operation(failing);
  struct Question {
    static Task<> ask(Peers& peers) {
      PYRSIA_CO_TRY(auto dialed, co_await peers.dial_b());
      peers.end_a = std::make_unique<End>(peers.host_a, std::move(dialed));
      PYRSIA_CO_TRY(const auto stream, co_await peers.end_a->connection.muxer->open_stream());
      PYRSIA_CO_TRY(co_await stream->write_all(as_bytes("q")));
      PYRSIA_CO_TRY(co_await stream->close_write());
      std::array<std::uint8_t, 1> answer{};
      PYRSIA_CO_TRY(co_await read_exactly(*stream, answer));
      co_return ok;
    }
    static Task<> serve(Peers& peers) {
      PYRSIA_CO_TRY(auto accepted, co_await accept_one(*peers.listener));
      peers.end_b = std::make_unique<End>(peers.host_b, std::move(accepted));
      co_return co_await echo_next(*peers.end_b);
    }
  };
  auto [asked, served] =
      peers.world.run(with_timeout(peers.host_a, Duration(1min), Question::ask(peers)),
                      with_timeout(peers.host_b, Duration(1min), Question::serve(peers)));
  EXPECT_NE(asked.error(), Errc::deadlock);
  EXPECT_NE(asked.error(), Errc::timed_out) << "a lost packet was not sent again";
  operations = peers.net.operation_count();
  EXPECT_TRUE(operations <= failing ? asked.has_value() : true);
}

TEST(QuicRobustness, FaultSweep) {
  std::uint64_t count = 0;

  // Operation 0 is B's bind, which the set-up needs.
  for (std::uint64_t i = 1; i < 200; ++i) {
    SCOPED_TRACE(i);
    one_question(i, count);
    if (count <= i) return;
  }
  FAIL() << "the sweep did not come to an end";
}

}  // namespace
}  // namespace pyrsia::transport::quic

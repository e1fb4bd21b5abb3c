#include "transport/quic/transport.hpp"

#include "transport/quic/test_peers.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

TEST(QuicTransport, AHandshakeTakesOneRoundTrip) {
  Peers peers;
  auto [dialed, accepted] = peers.world.run(peers.dial_b(), accept_one(*peers.listener));
  ASSERT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(peers.world.now(), TimePoint(150ms));  // The dialer was ready at 100 ms.
  EXPECT_EQ(dialed->peer, test_key(2).peer_id());
  EXPECT_EQ(accepted->peer, test_key(1).peer_id());
  EXPECT_EQ(dialed->security, "/tls/1.0.0");
  EXPECT_EQ(dialed->remote, address("/ip4/5.6.7.8/udp/4001/quic-v1"));
  EXPECT_EQ(dialed->local.ip()->to_string(), "1.2.3.4");
  EXPECT_FALSE(dialed->is_port_shared);
  EXPECT_TRUE(accepted->is_port_shared);
  EXPECT_EQ(accepted->remote, dialed->local);
}

Task<TimePoint> first_answer(Peers& peers) {
  PYRSIA_CO_TRY(auto dialed, co_await peers.dial_b());
  peers.end_a = std::make_unique<End>(peers.host_a, std::move(dialed));
  PYRSIA_CO_TRY(auto stream, co_await peers.end_a->connection.muxer->open_stream());
  PYRSIA_CO_TRY(co_await stream->write_all(as_bytes("hello")));
  std::array<std::uint8_t, 5> answer{};
  PYRSIA_CO_TRY(co_await read_exactly(*stream, answer));
  EXPECT_EQ(as_text(answer), "hello");
  const auto now = peers.world.now();
  PYRSIA_CO_TRY(co_await stream->close_write());
  PYRSIA_CO_TRY(co_await stream->read_some(answer));
  co_return now;
}

Task<> serve_one(Peers& peers) {
  PYRSIA_CO_TRY(auto accepted, co_await accept_one(*peers.listener));
  peers.end_b = std::make_unique<End>(peers.host_b, std::move(accepted));
  co_return co_await echo_next(*peers.end_b);
}

TEST(QuicTransport, TheFirstByteComesAfterTwoRoundTrips) {
  Peers peers;
  auto [answered, served] = peers.world.run(first_answer(peers), serve_one(peers));
  ASSERT_TRUE(answered) << answered.error();
  EXPECT_EQ(*answered, TimePoint(200ms));
  EXPECT_TRUE(served);
}

TEST(QuicTransport, ConfirmedOnceTheServerHasJudged) {
  Peers peers;
  ASSERT_TRUE(peers.connect());
  EXPECT_TRUE(peers.end_b->connection.muxer->is_confirmed());
  auto [confirmed] = peers.world.run(peers.end_a->connection.muxer->wait_confirmed());
  EXPECT_TRUE(confirmed);
  EXPECT_EQ(peers.world.now(), TimePoint(200ms));
}

TEST(QuicTransport, DialsFromTheListenersSocketAndSaysSo) {
  Peers peers;
  const auto own = peers.a.listen(address("/ip4/0.0.0.0/udp/4009/quic-v1")).value();
  ASSERT_TRUE(peers.connect());
  EXPECT_TRUE(peers.end_a->connection.is_port_shared);
  EXPECT_EQ(peers.end_a->connection.local, address("/ip4/1.2.3.4/udp/4009/quic-v1"));
  EXPECT_EQ(peers.end_b->connection.remote, address("/ip4/1.2.3.4/udp/4009/quic-v1"));
  EXPECT_EQ(peers.a.metrics().dials_from_listen_port.value(), 1U);
}

Task<Connection> dial_from_new_port(Peers& peers) {
  DialOptions options;
  options.use_new_port = true;
  co_return co_await peers.a.dial(address("/ip4/5.6.7.8/udp/4001/quic-v1"), test_key(2).peer_id(),
                                  options);
}

TEST(QuicTransport, ADialBackLeavesFromAPortOfItsOwn) {
  Peers peers;
  const auto own = peers.a.listen(address("/ip4/0.0.0.0/udp/4009/quic-v1")).value();
  auto [dialed, accepted] = peers.world.run(dial_from_new_port(peers), accept_one(*peers.listener));
  ASSERT_TRUE(dialed && accepted);
  EXPECT_FALSE(dialed->is_port_shared);
  EXPECT_NE(dialed->local.port(), std::uint16_t(4009));
}

Task<Connection> dial_as(Peers& peers, std::string text, std::uint8_t number) {
  const auto remote = address(text);
  co_return co_await peers.a.dial(remote, test_key(number).peer_id(), DialOptions());
}

TEST(QuicTransport, AnotherPeerThanExpectedIsRefusedByBothSides) {
  Peers peers;
  auto accepting = with_timeout(peers.host_b, Duration(20s), accept_one(*peers.listener));
  auto [dialed, accepted] =
      peers.world.run(dial_as(peers, "/ip4/5.6.7.8/udp/4001/quic-v1", 3), std::move(accepting));
  EXPECT_EQ(dialed.error(), Errc::wrong_peer);
  EXPECT_EQ(accepted.error(), Errc::timed_out);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
  EXPECT_EQ(peers.b.metrics().handshakes_failed.value(), 1U);
}

TEST(QuicTransport, DialsToOurselvesAreRefused) {
  Peers peers;
  auto [own] = peers.world.run(dial_as(peers, "/ip4/5.6.7.8/udp/4001/quic-v1", 1));
  EXPECT_EQ(own.error(), Errc::invalid_argument);
}

TEST(QuicTransport, SilenceTakesTheHandshakeTimeout) {
  Peers peers;
  auto [dialed] = peers.world.run(dial_as(peers, "/ip4/5.6.7.9/udp/4001/quic-v1", 2));
  EXPECT_EQ(dialed.error(), Errc::timed_out);
  EXPECT_EQ(peers.world.now(), TimePoint(10s));
}

TEST(QuicTransport, AFamilyThatWeHaveNotIsUnreachableAtOnce) {
  Peers peers;
  peers.host_a.set_addresses({"1.2.3.4"});
  auto [dialed] = peers.world.run(dial_as(peers, "/ip6/2600::2/udp/4001/quic-v1", 2));
  EXPECT_EQ(dialed.error(), Errc::unreachable);
  EXPECT_EQ(peers.world.now(), TimePoint(0ms));
}

Task<> echo_for_ever(End& end, TaskGroup& tasks) {
  for (;;) {
    PYRSIA_CO_TRY(auto stream, co_await end.streams.next());
    struct Echo {
      static Task<> run(std::unique_ptr<Stream> stream) { co_return co_await echo(*stream); }
    };
    tasks.spawn(Echo::run(std::move(stream)));
  }
}

Task<std::uint64_t> round_trip(End& end, Env& env, std::uint64_t count) {
  PYRSIA_CO_TRY(const auto stream, co_await end.connection.muxer->open_stream());
  TaskGroup writing(env);
  writing.spawn(write_numbers(*stream, count));
  const auto read = co_await read_numbers(*stream);
  if (!read) stream->reset();
  PYRSIA_CO_TRY(co_await writing.join());
  co_return read;
}

/// Sends `count` bytes from A to B and back on each of `streams` streams.
void transfer(Peers& peers, std::size_t streams, std::uint64_t count) {
  ASSERT_TRUE(peers.connect());
  TaskGroup echoes(peers.host_b);
  echoes.spawn(echo_for_ever(*peers.end_b, echoes));
  struct All {
    static Task<> run(Peers& peers, std::size_t number, std::uint64_t bytes) {
      TaskGroup group(peers.host_a);
      std::size_t right = 0;
      for (std::size_t i = 0; i < number; ++i) group.spawn(one(peers, bytes, right));
      PYRSIA_CO_TRY(co_await group.join());
      EXPECT_EQ(right, number);
      co_return ok;
    }
    static Task<> one(Peers& peers, std::uint64_t bytes, std::size_t& right) {
      const auto read = co_await round_trip(*peers.end_a, peers.host_a, bytes);
      EXPECT_TRUE(read) << read.error();
      if (read && *read == bytes) ++right;
      co_return ok;
    }
  };
  auto [end] = peers.world.run(All::run(peers, streams, count));
  EXPECT_TRUE(end) << end.error() << peers.world.deadlock_report();
  echoes.cancel();
  peers.world.run(echoes.join());
}

TEST(QuicTransport, CarriesMuchInBothDirections) {
  Peers peers;
  transfer(peers, 1, 4 << 20);
}

TEST(QuicTransport, CarriesTwoHundredStreamsAtOnce) {
  Peers peers;
  transfer(peers, 200, 20'000);
  EXPECT_EQ(peers.a.metrics().streams_opened.value(), 200U);
}

TEST(QuicTransport, MoreStreamsThanAllowedWaitForTheirTurn) {
  Config config;
  config.max_inbound_streams = 4;
  Peers peers(1, config);
  transfer(peers, 20, 1000);
}

TEST(QuicTransport, LossReorderAndCongestionLoseNoByte) {
  for (const auto seed : sim::seeds(5)) {
    SCOPED_TRACE(sim::seed_trace(seed));
    Peers peers(seed);
    auto path = sim::delay_of(20ms);
    path.loss = 0.05;
    path.reorder = 0.05;
    path.jitter = 5ms;
    path.congestion_marks = 0.02;
    path.bytes_per_second = 1'000'000;
    path.max_queued_bytes = 30'000;
    peers.net.set_default_path(path);
    transfer(peers, 3, 100'000);
  }
}

/// Of the packets of A, as they arrive.
struct Seen {
  explicit Seen(Peers& p) : peers(p) {
    peers.net.set_trace([this](const std::string& line) { note(line); });
  }
  ~Seen() { peers.net.set_trace(nullptr); }
  void note(const std::string& line) {
    if (line.find("delivered: udp 1.2.3.4:") == line.npos) return;
    ++count;
    if (line.find(" ECT ") != line.npos) ++marked_capable;
    largest = std::max(largest, std::stoul(line.substr(line.rfind('+') + 1)));
  }

  Peers& peers;
  std::size_t count = 0;
  std::size_t marked_capable = 0;
  std::size_t largest = 0;
};

TEST(QuicTransport, PacketsSayThatTheyKnowOfCongestion) {
  Peers peers;
  peers.net.set_default_path(sim::delay_of(20ms));
  Seen seen(peers);
  transfer(peers, 1, 200'000);
  EXPECT_GT(seen.count, 100U);
  EXPECT_GT(seen.marked_capable, seen.count * 9 / 10);  // Not all, until it is known to be of use.
}

// No packet is lost in either case: only the peer's word on the marks makes the sender slow down.
TEST(QuicTransport, MarksOfCongestionAreFedBack) {
  const auto time_of = [](double marks) {
    Peers peers;
    auto path = sim::delay_of(20ms);
    path.congestion_marks = marks;
    peers.net.set_default_path(path);
    transfer(peers, 1, 2'000'000);
    return peers.world.now().time_since_epoch();
  };
  EXPECT_GT(time_of(0.2), 2 * time_of(0));
}

TEST(QuicTransport, PacketsGrowToWhatThePathCarries) {
  for (const auto& [mtu, payload] : {std::pair{1500U, 1452U}, std::pair{1448U, 1372U},
                                     std::pair{1300U, 1232U}, std::pair{1240U, 1200U}}) {
    SCOPED_TRACE(mtu);
    Peers peers;
    auto path = sim::delay_of(20ms);
    path.mtu_bytes = mtu;
    peers.net.set_default_path(path);
    Seen seen(peers);
    transfer(peers, 1, 200'000);
    EXPECT_EQ(seen.largest, payload);
  }
}

// Nobody is told: RFC 8899, 4.3.
TEST(QuicTransport, PacketsShrinkWhenThePathNoLongerCarriesThem) {
  Peers peers;
  auto path = sim::delay_of(20ms);
  path.mtu_bytes = 1500;
  path.bytes_per_second = 1'000'000;
  peers.net.set_default_path(path);
  struct Shrink {
    static Task<> run(Peers& all, sim::PathConfig to) {
      PYRSIA_CO_TRY(co_await all.host_a.sleep_for(Duration(1s)));
      to.mtu_bytes = 1280;
      all.net.set_default_path(to);
      co_return ok;
    }
  };
  ASSERT_TRUE(peers.connect());
  const auto begin = peers.world.now();
  auto [read, echoed, shrunk] = peers.world.run(round_trip(*peers.end_a, peers.host_a, 3'000'000),
                                                echo_next(*peers.end_b), Shrink::run(peers, path));
  EXPECT_TRUE(echoed && shrunk);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, 3'000'000U);
  EXPECT_LT(peers.world.now() - begin, Duration(10s));
  EXPECT_EQ(peers.a.metrics().path_mtu_drops.value(), 1U);
  EXPECT_EQ(peers.b.metrics().path_mtu_drops.value(), 1U);

  // Large ones are tried again later, and arrive.
  peers.world.run_for(10min);
  path.mtu_bytes = 1500;
  peers.net.set_default_path(path);
  Seen seen(peers);
  auto [again, echoed_again] =
      peers.world.run(round_trip(*peers.end_a, peers.host_a, 200'000), echo_next(*peers.end_b));
  EXPECT_TRUE(again && echoed_again);
  EXPECT_EQ(seen.largest, 1452U);
}

}  // namespace
}  // namespace pyrsia::transport::quic

#include "transport/quic/test_peers.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

/// A stream of A and B's end of it.
class QuicStreams : public testing::Test {
 protected:
  QuicStreams() {
    EXPECT_TRUE(peers.connect());
    auto [opened, taken] = world.run(open(*peers.end_a), peers.end_b->streams.next());
    at_a = *std::move(opened);
    at_b = *std::move(taken);
    EXPECT_EQ(read(*at_b), "x");
  }

  static Task<std::unique_ptr<Stream>> open(End& end) {
    PYRSIA_CO_TRY(auto stream, co_await end.connection.muxer->open_stream());
    PYRSIA_CO_TRY(co_await stream->write_all(as_bytes("x")));
    co_return stream;
  }
  static Task<std::string> read_once(Stream& stream) {
    std::array<std::uint8_t, 100> bytes{};
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    co_return std::string(as_text(BytesView(bytes).first(count)));
  }
  /// What comes next, "" for the end, or the name of the error.
  std::string read(Stream& stream) {
    auto [result] = world.run(with_timeout(peers.host_a, Duration(2s), read_once(stream)));
    return result ? *result : "error: " + result.error().message();
  }
  static std::string error_of(Errc code) { return "error: " + make_error_code(code).message(); }
  Result<> write(Stream& stream, const std::string& text) {
    auto [result] = world.run(stream.write_all(as_bytes(text)));
    return result;
  }
  Result<> finish(Stream& stream) {
    auto [result] = world.run(stream.close_write());
    return result;
  }

  Peers peers;
  sim::World& world = peers.world;
  std::unique_ptr<Stream> at_a;
  std::unique_ptr<Stream> at_b;
};

TEST_F(QuicStreams, AHalfCloseLeavesTheOtherHalfOpen) {
  EXPECT_TRUE(write(*at_a, "last"));
  EXPECT_TRUE(finish(*at_a));
  EXPECT_EQ(write(*at_a, "more").error(), Errc::closed);
  EXPECT_EQ(read(*at_b), "last");
  EXPECT_EQ(read(*at_b), "");
  EXPECT_TRUE(write(*at_b, "answer"));
  EXPECT_TRUE(finish(*at_b));
  EXPECT_EQ(read(*at_a), "answer");
  EXPECT_EQ(read(*at_a), "");
}

TEST_F(QuicStreams, AResetEndsBothHalves) {
  at_a->reset(ResetCode::protocol_violation);
  EXPECT_EQ(read(*at_a), error_of(Errc::closed));
  EXPECT_EQ(read(*at_b), error_of(Errc::reset));
  EXPECT_EQ(write(*at_b, "too late").error(), Errc::reset);
  world.run_for(1s);
  at_b.reset();
  world.run_for(1s);
  EXPECT_EQ(peers.end_a->connection.muxer->stream_count(), 0U);
  EXPECT_EQ(peers.end_b->connection.muxer->stream_count(), 0U);
}

TEST_F(QuicStreams, TheNumberOfAResetArrives) {
  EXPECT_FALSE(at_b->peer_reset_code() || at_b->peer_stop_code());
  at_a->reset(ResetCode::rate_limited);
  world.run_for(1s);
  EXPECT_EQ(read(*at_b), error_of(Errc::reset));
  EXPECT_EQ(at_b->peer_reset_code(), std::uint64_t(ResetCode::rate_limited));
  EXPECT_EQ(at_b->peer_stop_code(), std::uint64_t(ResetCode::rate_limited));
}

TEST_F(QuicStreams, ANumberThatAsksUsToStopArrivesWhileTheOtherHalfGoesOn) {
  // Destroyed after close_write(), with nothing read: stop sending, with the number 0.
  EXPECT_TRUE(write(*at_a, "all"));
  EXPECT_TRUE(finish(*at_a));
  at_a.reset();
  world.run_for(1s);
  EXPECT_EQ(at_b->peer_stop_code(), 0U);
  EXPECT_FALSE(at_b->peer_reset_code());
  EXPECT_EQ(write(*at_b, "nobody?").error(), Errc::closed);
  EXPECT_EQ(read(*at_b), "all");
  EXPECT_EQ(read(*at_b), "");
}

TEST_F(QuicStreams, WhatWasReceivedBeforeAResetIsStillRead) {
  EXPECT_TRUE(write(*at_a, "news"));
  world.run_for(1s);
  at_a->reset();
  world.run_for(1s);
  EXPECT_EQ(read(*at_b), "news");
  EXPECT_EQ(read(*at_b), error_of(Errc::reset));
}

TEST_F(QuicStreams, DestroyedAfterCloseWriteItStillDelivers) {
  EXPECT_TRUE(write(*at_a, std::string(50'000, 'y')));
  EXPECT_TRUE(finish(*at_a));
  at_a.reset();
  std::string all;
  for (int i = 0; i < 1000 && all.size() < 50'000; ++i) all += read(*at_b);
  EXPECT_EQ(all, std::string(50'000, 'y'));
  EXPECT_EQ(read(*at_b), "");
  // Nobody reads what B says, and that is no fault of anybody.
  EXPECT_EQ(write(*at_b, "nobody?").error(), Errc::closed);
  EXPECT_TRUE(finish(*at_b));
  world.run_for(1s);
  at_b.reset();
  world.run_for(1s);
  EXPECT_EQ(peers.end_a->connection.muxer->stream_count(), 0U);
  EXPECT_EQ(peers.end_b->connection.muxer->stream_count(), 0U);
}

TEST_F(QuicStreams, DestroyedWithoutCloseItIsReset) {
  at_a.reset();
  EXPECT_EQ(read(*at_b), error_of(Errc::reset));
}

TEST_F(QuicStreams, AWriterWaitsForItsReader) {
  TaskGroup tasks(peers.host_a);
  tasks.spawn(write_numbers(*at_a, 4 << 20));
  world.run_for(10s);
  EXPECT_EQ(tasks.size(), 1U) << "nothing held it back";
  auto [count] = world.run(read_numbers(*at_b));
  EXPECT_EQ(count.value(), std::uint64_t(4 << 20));
  EXPECT_EQ(tasks.size(), 0U);
}

TEST_F(QuicStreams, AWriterWhoseReaderStopsDoesNotWaitForEver) {
  TaskGroup tasks(peers.host_a);
  tasks.spawn(write_numbers(*at_a, 4 << 20));
  world.run_for(10s);
  EXPECT_TRUE(finish(*at_b));
  at_b.reset();
  world.run_for(1s);
  EXPECT_EQ(tasks.size(), 0U);
  EXPECT_EQ(read(*at_a), "");
}

TEST_F(QuicStreams, ACancelledReadLosesNothing) {
  auto [late] = world.run(with_timeout(peers.host_b, Duration(1ms), read_once(*at_b)));
  EXPECT_EQ(late.error(), Errc::timed_out);
  EXPECT_TRUE(write(*at_a, "later"));
  EXPECT_EQ(read(*at_b), "later");
}

TEST_F(QuicStreams, TheEndOfTheConnectionEndsThem) {
  peers.end_a->connection.muxer->close(mux::GoAway::normal);
  world.run_for(1s);
  EXPECT_EQ(read(*at_a), error_of(Errc::closed));
  EXPECT_EQ(read(*at_b), error_of(Errc::closed));
  EXPECT_EQ(write(*at_b, "x").error(), Errc::closed);
  EXPECT_EQ(peers.end_b->reason(), Errc::closed);
  auto [stream] = world.run(peers.end_b->connection.muxer->open_stream());
  EXPECT_EQ(stream.error(), Errc::closed);
}

TEST_F(QuicStreams, UnreadBytesOfADroppedStreamGiveTheirWindowBack) {
  // Fifty times the window of a stream, and more than that of the connection.
  for (int i = 0; i < 50; ++i) {
    auto [opened, taken] = world.run(open(*peers.end_a), peers.end_b->streams.next());
    ASSERT_TRUE(opened && taken);
    EXPECT_TRUE(write(**opened, std::string(200'000, 'z')));
    world.run_for(1s);
    taken->reset();
    opened->reset();
    world.run_for(1s);
  }
  EXPECT_TRUE(write(*at_a, "still"));
  EXPECT_EQ(read(*at_b), "still");
}

}  // namespace
}  // namespace pyrsia::transport::quic

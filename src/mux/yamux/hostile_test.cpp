// A session against a peer that is played by hand, frame by frame.
#include "mux/yamux/plain_channel.hpp"
#include "mux/yamux/session.hpp"
#include "mux/yamux/wire.hpp"
#include "runtime/task_group.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::mux::yamux {
namespace {

using namespace std::chrono_literals;

/// Keeps the streams that come, or drops them.
class Sink final : public StreamSink {
 public:
  explicit Sink(bool is_keeping) : is_keeping_(is_keeping) {}
  void on_stream(std::unique_ptr<Stream> stream) override {
    ++count;
    if (is_keeping_) streams.push_back(std::move(stream));
  }

  std::vector<std::unique_ptr<Stream>> streams;
  int count = 0;

 private:
  bool is_keeping_;
};

class Hostile : public testing::Test {
 protected:
  void start(const Config& config, const sim::PipeConfig& pipe) {
    std::unique_ptr<Stream> end;
    std::tie(raw_, end) = sim::make_pipe(world_.env(), pipe);
    auto channel = std::make_unique<PlainChannel>(std::move(end));
    session_ = make_session(world_.env(), std::move(channel), Role::responder, config, metrics_);
    tasks_.spawn(serve());
  }
  void start() { start({}, {}); }
  ~Hostile() override {
    if (session_) session_->close(GoAway::normal);
    if (raw_) raw_->reset();
    world_.run(tasks_.join());
  }

  Task<> serve() {
    ended_ = co_await session_->run(sink_);
    co_return ok;
  }

  static Task<> write(Stream& stream, Bytes bytes) { co_return co_await stream.write_all(bytes); }
  void send(const Bytes& bytes) { tasks_.spawn(write(*raw_, bytes)); }
  void send(const Header& header) {
    const auto bytes = encode(header);
    send(Bytes(bytes.begin(), bytes.end()));
  }
  void send(const Header& header, std::size_t body) {
    const auto head = encode(header);
    Bytes bytes(head.begin(), head.end());
    bytes.resize(bytes.size() + body, 'x');
    send(bytes);
  }

  static Task<> read_all(Stream& stream, Bytes& out) {
    for (;;) {
      std::array<std::uint8_t, 4096> bytes;
      PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
      if (count == 0) co_return ok;
      out.insert(out.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(count));
    }
  }
  /// Everything that the session sent; data has no place here.
  std::vector<Header> frames() {
    if (!is_reading_) tasks_.spawn(read_all(*raw_, received_));
    is_reading_ = true;
    world_.run_for(1s);
    std::vector<Header> headers;
    for (std::size_t at = 0; at + kHeaderBytes <= received_.size(); at += kHeaderBytes) {
      const std::span<const std::uint8_t, kHeaderBytes> bytes(&received_[at], kHeaderBytes);
      headers.push_back(*decode(bytes));
    }
    return headers;
  }
  void expect_violation() {
    const Header go_away{Type::go_away, 0, 0, 1};
    const auto sent = frames();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent.back(), go_away);
    ASSERT_TRUE(ended_);
    EXPECT_TRUE(ended_->error() == Errc::protocol_violation || ended_->error() == Errc::malformed);
    EXPECT_EQ(metrics_.protocol_errors.value(), 1U);
  }

  sim::World world_;
  Metrics metrics_;
  Sink sink_{true};
  std::unique_ptr<Stream> raw_;
  std::unique_ptr<Muxer> session_;
  std::optional<Result<>> ended_;
  Bytes received_;
  bool is_reading_ = false;
  TaskGroup tasks_{world_.env()};
};

TEST_F(Hostile, IsAcknowledgedAtOnce) {
  start();
  send({Type::window_update, kSyn, 1, 0});
  const Header ack{Type::window_update, kAck, 1, 0};
  EXPECT_EQ(frames(), std::vector{ack});
}

TEST_F(Hostile, MayNotUseOurIds) {
  start();
  send({Type::window_update, kSyn, 2, 0});
  expect_violation();
}

TEST_F(Hostile, MayNotOpenAStreamTwice) {
  start();
  send({Type::window_update, kSyn, 1, 0});
  send({Type::data, kSyn, 1, 0});
  expect_violation();
}

TEST_F(Hostile, MayNotSendDataOnTheSession) {
  start();
  send({Type::data, 0, 0, 0});
  expect_violation();
}

TEST_F(Hostile, MayNotSendOverTheWindow) {
  start();
  send({Type::data, kSyn, 1, kInitialWindowBytes + 1});
  expect_violation();
}

TEST_F(Hostile, MayNotSendOverTheWindowInPiecesEither) {
  start();
  send({Type::data, kSyn, 1, kInitialWindowBytes}, kInitialWindowBytes);
  send({Type::data, 0, 1, 1}, 1);
  expect_violation();
}

TEST_F(Hostile, MayNotOverflowOurWindow) {
  start();
  send({Type::window_update, kSyn, 1, 0xffffffff});
  expect_violation();
}

TEST_F(Hostile, MaySpeakNoOtherVersion) {
  start();
  send(Bytes{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_violation();
}

TEST_F(Hostile, MaySendDataForAStreamThatIsGone) {
  start();
  send({Type::data, 0, 77, 5}, 5);
  send({Type::window_update, 0, 77, 5});
  send({Type::data, kRst, 77, 5}, 5);
  send({Type::ping, kSyn, 0, 42});
  const Header pong{Type::ping, kAck, 0, 42};
  EXPECT_EQ(frames(), std::vector{pong});
}

TEST_F(Hostile, MaySendDataForAStreamThatWeOpenMeanwhile) {
  start();
  world_.run_for(1s);
  // The header comes before there is a stream 2, its body after.
  send({Type::data, kFin, 2, 5});
  world_.run_for(1s);
  auto [opened] = world_.run(session_->open_stream());
  ASSERT_TRUE(opened);
  send(Bytes(5, 'x'));
  send({Type::data, 0, 2, 2}, 2);
  world_.run_for(1s);
  std::array<std::uint8_t, 8> bytes;
  auto [read] = world_.run((*opened)->read_some(bytes));
  EXPECT_EQ(*read, 2U);
  EXPECT_FALSE(ended_);
  opened->reset();
}

TEST_F(Hostile, MaySendAPongThatNobodyAskedFor) {
  start();
  send({Type::ping, kAck, 0, 42});
  send({Type::ping, 0, 0, 42});
  EXPECT_TRUE(frames().empty());
  EXPECT_FALSE(ended_);
  EXPECT_FALSE(session_->round_trip());
}

TEST_F(Hostile, HasItsStreamsOverTheLimitReset) {
  Config config;
  config.max_inbound_streams = 2;
  start(config, {});
  for (std::uint32_t id = 1; id < 7; id += 2) send({Type::data, kSyn, id, 3}, 3);
  const std::vector<Header> expected = {
      {Type::window_update, kAck, 1, 0},
      {Type::window_update, kAck, 3, 0},
      {Type::window_update, kRst, 5, std::uint32_t(ResetCode::resource_limit)}};
  EXPECT_EQ(frames(), expected);
  EXPECT_EQ(metrics_.streams_refused.value(), 1U);
  EXPECT_EQ(session_->stream_count(), 2U);
}

Bytes flood(std::size_t count, Header (*make)(std::uint32_t)) {
  Bytes bytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto header = encode(make(i));
    bytes.insert(bytes.end(), header.begin(), header.end());
  }
  return bytes;
}

Header opening(std::uint32_t i) {
  return {Type::window_update, kSyn, 2 * i + 1, 0};
}

Header pinging(std::uint32_t i) {
  return {Type::ping, kSyn, 0, i};
}

TEST_F(Hostile, OpensAHundredThousandStreamsInVain) {
  start();
  send(flood(100'000, opening));
  EXPECT_EQ(frames().size(), 100'000U);
  EXPECT_EQ(session_->stream_count(), 512U);
  EXPECT_EQ(metrics_.streams_refused.value(), 100'000U - 512U);
  EXPECT_FALSE(ended_);
}

TEST_F(Hostile, IsNotListenedToWhileItDoesNotRead) {
  start({}, {.buffer_bytes = 1000});
  send(flood(100'000, opening));
  world_.run_for(10s);
  EXPECT_LT(metrics_.streams_refused.value(), 11'000U);  // Two reads of 64 KiB.
}

TEST_F(Hostile, HasItsFloodOfPingsAnsweredInPart) {
  start({}, {.buffer_bytes = 100});
  send(flood(10'000, pinging));
  world_.run_for(1s);
  EXPECT_GT(metrics_.pings_dropped.value(), 9'000U);
  EXPECT_LT(frames().size(), 1000U);
  EXPECT_FALSE(ended_);
}

TEST_F(Hostile, HasAStreamThatFillsOurMemoryReset) {
  Config config;
  config.max_buffered_bytes = 100'000;
  start(config, {});
  send({Type::data, kSyn, 1, 60'000}, 60'000);
  send({Type::data, kSyn, 3, 60'000}, 60'000);
  const Header reset{Type::window_update, kRst, 3, std::uint32_t(ResetCode::resource_limit)};
  EXPECT_EQ(frames().back(), reset);
  EXPECT_EQ(metrics_.streams_over_buffer.value(), 1U);
}

TEST_F(Hostile, SaysGoodbye) {
  start();
  send({Type::go_away, 0, 0, 0});
  EXPECT_TRUE(frames().empty());
  ASSERT_TRUE(ended_);
  EXPECT_EQ(ended_->error(), Errc::closed);
}

TEST_F(Hostile, IsToldGoodbye) {
  start();
  world_.run_for(1s);
  session_->close(GoAway::normal);
  session_->close(GoAway::normal);
  const Header go_away{Type::go_away, 0, 0, 0};
  EXPECT_EQ(frames(), std::vector{go_away});
  EXPECT_EQ(ended_->error(), Errc::closed);
}

TEST_F(Hostile, ThatIsSilentIsPingedAndThenLeft) {
  start();
  for (int second = 0; second < 30; ++second) session_->tick(world_.now());
  EXPECT_TRUE(frames().empty());
  world_.run_for(29s);
  session_->tick(world_.now());
  const Header ping{Type::ping, kSyn, 0, 1};
  EXPECT_EQ(frames(), std::vector{ping});
  world_.run_for(18s);
  session_->tick(world_.now());
  world_.run_for(0s);
  EXPECT_FALSE(ended_);
  world_.run_for(1s);
  session_->tick(world_.now());
  world_.run_for(0s);
  ASSERT_TRUE(ended_);
  EXPECT_EQ(ended_->error(), Errc::timed_out);
  EXPECT_EQ(metrics_.keep_alive_timeouts.value(), 1U);
}

TEST_F(Hostile, StaysWhereAWriteBeginsAsTheClockTicks) {
  start();
  world_.run_for(61s);  // Longer than a write may take.
  session_->tick(world_.now());
  session_->tick(world_.now());  // The ping of the first is about to be written.
  world_.run_for(1s);
  EXPECT_FALSE(ended_);
  EXPECT_EQ(metrics_.write_timeouts.value(), 0U);
}

TEST_F(Hostile, ThatTalksButReadsNothingIsLeft) {
  start({}, {.buffer_bytes = 1});
  send({Type::window_update, kSyn, 1, 0});
  world_.run_for(1ms);  // The first answer has left by itself and fills the pipe.
  send({Type::window_update, kSyn, 3, 0});
  for (int second = 0; second < 59; ++second) {
    world_.run_for(1s);
    session_->tick(world_.now());
    send({Type::window_update, 0, 1, 1});
  }
  EXPECT_FALSE(ended_);
  world_.run_for(2s);
  session_->tick(world_.now());
  world_.run_for(0s);
  ASSERT_TRUE(ended_);
  EXPECT_EQ(ended_->error(), Errc::timed_out);
  EXPECT_EQ(metrics_.write_timeouts.value(), 1U);
}

TEST_F(Hostile, ThatAnswersPingsStays) {
  start({}, {.one_way_delay = 40ms});
  for (std::uint32_t i = 1; i < 5; ++i) {
    world_.run_for(31s);
    session_->tick(world_.now());
    world_.run_for(60ms);
    send({Type::ping, kAck, 0, i});
    world_.run_for(1s);
  }
  EXPECT_FALSE(ended_);
  EXPECT_EQ(session_->round_trip(), Duration(100ms));
}

TEST_F(Hostile, ResetsAfterACompleteMessageWhichIsStillRead) {
  start();
  send({Type::data, kSyn, 1, 3}, 3);
  send({Type::data, kRst, 1, 0});
  world_.run_for(1s);
  Bytes text;
  auto [read] = world_.run(read_all(*sink_.streams[0], text));
  EXPECT_EQ(text, (Bytes{'x', 'x', 'x'}));
  EXPECT_EQ(read.error(), Errc::reset);
  auto [written] = world_.run(write(*sink_.streams[0], {1}));
  EXPECT_EQ(written.error(), Errc::reset);
}

TEST_F(Hostile, MayGoOnAfterBothSidesHaveFinished) {
  start();
  send({Type::data, kSyn | kFin, 1, 3}, 3);
  world_.run_for(1s);
  auto [closed] = world_.run(sink_.streams[0]->close_write());
  EXPECT_TRUE(closed);
  sink_.streams.clear();
  send({Type::window_update, 0, 1, 1000});
  const std::vector<Header> expected = {{Type::window_update, kAck, 1, 0},
                                        {Type::window_update, kFin, 1, 0}};
  EXPECT_EQ(frames(), expected);
  EXPECT_FALSE(ended_);
  EXPECT_EQ(session_->stream_count(), 0U);
}

}  // namespace
}  // namespace pyrsia::mux::yamux

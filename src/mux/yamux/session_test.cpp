#include "mux/yamux/session.hpp"

#include "mux/yamux/plain_channel.hpp"
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/multistream.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::mux::yamux {
namespace {

using namespace std::chrono_literals;

/// One side; keeps the streams that the peer opens.
class Side final : public StreamSink {
 public:
  Side(Env& env, std::unique_ptr<Stream> stream, Role role, const Config& config)
      : session(make_session(env, std::make_unique<PlainChannel>(std::move(stream)), role, config,
                             metrics)) {}
  void on_stream(std::unique_ptr<Stream> stream) override { streams.push_back(std::move(stream)); }
  Task<> run() {
    ended = co_await session->run(*this);
    co_return ok;
  }

  Metrics metrics;
  std::unique_ptr<Muxer> session;
  std::vector<std::unique_ptr<Stream>> streams;
  std::optional<Result<>> ended;
};

class Sessions : public testing::Test {
 protected:
  void start(const Config& config, const sim::PipeConfig& pipe) {
    auto [a, b] = sim::make_pipe(world_.env(), pipe);
    a_.emplace(world_.env(), std::move(a), Role::initiator, config);
    b_.emplace(world_.env(), std::move(b), Role::responder, config);
    tasks_.spawn(a_->run());
    tasks_.spawn(b_->run());
  }
  void start() { start({}, {}); }
  ~Sessions() override {
    tasks_.cancel();
    world_.run(tasks_.join());
  }
  /// A stream from a to b; its other end is the last of b's streams.
  std::unique_ptr<Stream> open() {
    auto [stream] = world_.run(a_->session->open_stream());
    world_.run_for(1s);
    return std::move(*stream);
  }

  sim::World world_;
  std::optional<Side> a_;
  std::optional<Side> b_;
  TaskGroup tasks_{world_.env()};
};

Task<> send_and_close(Stream& stream, std::size_t count) {
  const Bytes block(200'000, 'x');
  while (count > 0) {
    const auto part = std::span(block).first(std::min(count, block.size()));
    PYRSIA_CO_TRY(co_await stream.write_all(part));
    count -= part.size();
  }
  co_return co_await stream.close_write();
}

Task<std::size_t> count_to_end(Stream& stream) {
  Bytes bytes(100'000);
  std::size_t total = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return total;
    total += count;
  }
}

Task<> echo(Stream& stream) {
  Bytes bytes(100'000);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return co_await stream.close_write();
    const auto read = std::span(bytes).first(count);
    PYRSIA_CO_TRY(co_await stream.write_all(read));
  }
}

TEST_F(Sessions, Echo64MebibytesWithHalfClose) {
  constexpr std::size_t kCount = 64 << 20;
  start({}, {.one_way_delay = 1ms, .buffer_bytes = 1 << 20});
  const auto stream = open();
  auto [sent, counted, echoed] =
      world_.run(send_and_close(*stream, kCount), count_to_end(*stream), echo(*b_->streams[0]));
  EXPECT_TRUE(sent && echoed);
  EXPECT_EQ(*counted, kCount);
}

Task<std::size_t> ask(Muxer& muxer, std::size_t count, TaskGroup& tasks) {
  PYRSIA_CO_TRY(const auto stream, co_await muxer.open_stream());
  tasks.spawn(send_and_close(*stream, count));
  auto total = co_await count_to_end(*stream);
  co_return total;
}

Task<> check(Muxer& muxer, std::size_t count, TaskGroup& tasks, int& done) {
  const auto total = co_await ask(muxer, count, tasks);
  if (total && *total == count) ++done;
  co_return ok;
}

/// Echoes whatever comes, without an end of its own.
class EchoSink final : public StreamSink {
 public:
  explicit EchoSink(TaskGroup& tasks) : tasks_(tasks) {}
  void on_stream(std::unique_ptr<Stream> stream) override {
    tasks_.spawn(serve(std::move(stream)));
  }

 private:
  static Task<> serve(std::unique_ptr<Stream> stream) { co_return co_await echo(*stream); }

  TaskGroup& tasks_;
};

TEST(Session, Carries400StreamsAtOnceOf250ThatMayWait) {
  sim::World world;
  auto& env = world.env();
  auto [a, b] = sim::make_pipe(env, {.one_way_delay = 5ms, .buffer_bytes = 100'000});
  Metrics metrics;
  const auto client =
      make_session(env, std::make_unique<PlainChannel>(std::move(a)), Role::initiator, {}, metrics);
  const auto server =
      make_session(env, std::make_unique<PlainChannel>(std::move(b)), Role::responder, {}, metrics);
  TaskGroup tasks(env);
  EchoSink sink(tasks);
  tasks.spawn(client->run(sink));
  tasks.spawn(server->run(sink));
  TaskGroup asks(env);
  int done = 0;
  for (int i = 0; i < 400; ++i) asks.spawn(check(*client, 10'000, asks, done));
  auto [joined] = world.run(asks.join());
  EXPECT_TRUE(joined);
  EXPECT_EQ(done, 400);
  EXPECT_EQ(client->stream_count(), 0U);
  client->close(GoAway::normal);
  world.run(tasks.join());
}

TEST_F(Sessions, StopWritingAtAFullWindowAndGoOnWhenItIsRead) {
  start();
  const auto stream = open();
  auto [late] =
      world_.run(with_timeout(world_.env(), 1s, send_and_close(*stream, kInitialWindowBytes + 1)));
  EXPECT_EQ(late.error(), Errc::timed_out);
  // The cancelled write sent what the window took, and the stream goes on.
  auto [sent, counted] = world_.run(send_and_close(*stream, 10), count_to_end(*b_->streams[0]));
  EXPECT_TRUE(sent);
  EXPECT_EQ(*counted, kInitialWindowBytes + 10);
}

TEST_F(Sessions, OneBlockedStreamDoesNotHoldTheOthers) {
  start();
  const auto blocked = open();
  const auto free = open();
  auto [late, sent, counted] =
      world_.run(with_timeout(world_.env(), 1s, send_and_close(*blocked, kInitialWindowBytes * 2)),
                 send_and_close(*free, 1'000'000), count_to_end(*b_->streams[1]));
  EXPECT_EQ(late.error(), Errc::timed_out);
  EXPECT_EQ(*counted, 1'000'000U);
}

/// Counts until it is cancelled.
Task<> count_into(Stream& stream, std::size_t& total) {
  Bytes bytes(100'000);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return ok;
    total += count;
  }
}

/// A channel that ten streams want to themselves.
class FullSession : public Sessions {
 protected:
  static constexpr std::size_t kStreams = 10;
  static constexpr Duration kDelay = 10ms;

  FullSession() {
    start({}, {.one_way_delay = kDelay, .buffer_bytes = 200'000});
    for (std::size_t i = 0; i < kStreams; ++i) {
      writers_.push_back(open());
      bulk_.spawn(send_and_close(*writers_.back(), 1 << 30));
      bulk_.spawn(count_into(*b_->streams[i], totals_[i]));
    }
  }
  ~FullSession() override {
    bulk_.cancel();
    world_.run(bulk_.join());
  }

  std::vector<std::unique_ptr<Stream>> writers_;
  std::array<std::size_t, kStreams> totals_{};
  TaskGroup bulk_{world_.env()};
};

TEST_F(FullSession, IsSharedEqually) {
  world_.run_for(2s);  // The windows have grown.
  const auto before = totals_;
  world_.run_for(5s);
  std::array<std::size_t, kStreams> got;
  for (std::size_t i = 0; i < kStreams; ++i) got[i] = totals_[i] - before[i];
  const auto [least, most] = std::ranges::minmax(got);
  EXPECT_GT(least, 1'000'000U);
  EXPECT_LT(most - least, least / 10);
}

TEST_F(FullSession, CarriesASmallQuestionAtOnce) {
  const auto question = open();
  auto& other = *b_->streams.back();
  const auto asked_at = world_.now();
  auto [sent, counted, echoed] =
      world_.run(send_and_close(*question, 100), count_to_end(*question), echo(other));
  EXPECT_EQ(*counted, 100U);
  // Behind the buffer, the write under way and the next one: each takes a delay to be read.
  EXPECT_LE(world_.now() - asked_at, 5 * kDelay);
}

TEST_F(FullSession, CarriesAPingAtOnce) {
  world_.run_for(5s);
  ASSERT_FALSE(a_->session->round_trip());
  a_->session->measure_round_trip();
  world_.run_for(1s);
  EXPECT_LE(a_->session->round_trip().value_or(1h), 5 * kDelay);
}

TEST_F(Sessions, WaitForTheAcknowledgementOfOldStreams) {
  Config config;
  config.max_unacknowledged_streams = 1;
  start(config, {.one_way_delay = 50ms});
  auto [first, second] = world_.run(a_->session->open_stream(), a_->session->open_stream());
  EXPECT_TRUE(first && second);
  EXPECT_EQ(world_.now(), TimePoint(100ms));
}

TEST_F(Sessions, LimitTheStreamsWeOpen) {
  Config config;
  config.max_outbound_streams = 1;
  start(config, {});
  const auto stream = open();
  auto [refused] = world_.run(a_->session->open_stream());
  EXPECT_EQ(refused.error(), Errc::limit_reached);
}

bool takes_all(std::string_view) {
  return true;
}

Task<std::string> answer(Stream& stream) {
  std::vector<std::string> none;
  co_return co_await wire::answer(stream, takes_all, std::move(none));
}

TEST_F(Sessions, CarryAStreamWhoseProposalIsStillToBeSentWhenReadAndWriteBegin) {
  start({}, {.one_way_delay = 10ms, .buffer_bytes = 1});
  const auto busy = open();  // Holds the proposal up.
  const auto lazy = wire::propose_lazily(open(), "/p");
  auto& other = *b_->streams.back();
  auto [filled, counted, sent, agreed] = world_.run(
      send_and_close(*busy, 1000), count_to_end(*lazy), send_and_close(*lazy, 1000), answer(other));
  EXPECT_TRUE(sent);
  EXPECT_EQ(*agreed, "/p");
  auto [received] = world_.run(count_to_end(other));
  EXPECT_EQ(*received, 1000U);
}

TEST_F(Sessions, ResetTheStreamThatIsDestroyed) {
  start();
  open().reset();
  world_.run_for(1s);
  auto [counted] = world_.run(count_to_end(*b_->streams[0]));
  EXPECT_EQ(counted.error(), Errc::reset);
  EXPECT_EQ(a_->session->stream_count(), 0U);
}

TEST_F(Sessions, EndTheirStreamsWhichOutliveThem) {
  start();
  const auto stream = open();
  a_->session->close(GoAway::normal);
  world_.run_for(1s);
  EXPECT_EQ(a_->ended->error(), Errc::closed);
  EXPECT_EQ(b_->ended->error(), Errc::closed);
  a_->session.reset();
  b_->session.reset();
  auto [written, counted] = world_.run(send_and_close(*stream, 1), count_to_end(*b_->streams[0]));
  EXPECT_EQ(written.error(), Errc::closed);
  EXPECT_EQ(counted.error(), Errc::closed);
}

TEST_F(Sessions, EndWhenTheyAreCancelled) {
  start({}, {.buffer_bytes = 1});
  const auto stream = open();
  tasks_.spawn(send_and_close(*stream, 1'000'000));
  world_.run_for(1s);
  tasks_.cancel();
  world_.run_for(1s);
  EXPECT_EQ(a_->ended->error(), Errc::cancelled);
  EXPECT_EQ(b_->ended->error(), Errc::cancelled);
}

TEST_F(Sessions, MeasureTheRoundTripWhenAStreamIsBusy) {
  start({}, {.one_way_delay = 20ms});
  const auto stream = open();
  auto [sent, counted] =
      world_.run(send_and_close(*stream, 10'000'000), count_to_end(*b_->streams[0]));
  EXPECT_EQ(*counted, 10'000'000U);
  EXPECT_EQ(b_->session->round_trip(), Duration(40ms));
  // The window grows: at 256 KiB a round trip it would take 1.5 s.
  EXPECT_LT(world_.now(), TimePoint(1800ms));
}

}  // namespace
}  // namespace pyrsia::mux::yamux

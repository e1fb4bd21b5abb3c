// The whole upgrade of a connection: multistream-select, Noise, yamux, then a stream on it.
#include "mux/yamux/session.hpp"
#include "runtime/task_group.hpp"
#include "secure/noise/handshake.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/buffered_stream.hpp"
#include "wire/multistream.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::mux {
namespace {

using namespace std::chrono_literals;
namespace noise = secure::noise;

const std::string kEcho = "/echo/1.0.0";
const std::vector<std::string> kUnlisted;

bool is_noise(std::string_view protocol) {
  return protocol == noise::kProtocol;
}

bool is_echo(std::string_view protocol) {
  return protocol == kEcho;
}

/// One side of a connection, with a service that echoes.
class Node final : public StreamSink {
 public:
  Node(Env& env, std::uint8_t seed, std::vector<std::string> muxers)
      : env_(env), key_(key(seed)), identity_(env, key_, std::move(muxers)), tasks_(env) {}

  PeerId id() const { return key_.peer_id(); }
  Muxer& muxer() { return *muxer_; }
  const yamux::Metrics& metrics() const { return metrics_; }

  Task<> upgrade(std::unique_ptr<Stream> raw, Role role, std::optional<PeerId> expected) {
    std::unique_ptr<Stream> stream = std::make_unique<wire::BufferedStream>(std::move(raw));
    if (role == Role::initiator) {
      stream = wire::propose_lazily(std::move(stream), std::string(noise::kProtocol));
    } else {
      PYRSIA_CO_TRY(co_await wire::answer(*stream, is_noise, kUnlisted));
    }
    PYRSIA_CO_TRY(auto secured, co_await noise::handshake(env_, std::move(stream), role, identity_,
                                                          std::move(expected)));
    peer_ = secured.peer;
    inlined_muxer_ = secured.muxer;
    muxer_ = yamux::make_session(env_, std::move(secured.channel), role, {}, metrics_);
    tasks_.spawn(muxer_->run(*this));
    co_return ok;
  }

  Task<std::string> ask(std::string text) {
    PYRSIA_CO_TRY(auto opened, co_await muxer_->open_stream());
    const auto stream = wire::propose_lazily(std::move(opened), kEcho);
    PYRSIA_CO_TRY(co_await stream->write_all(as_bytes(text)));
    PYRSIA_CO_TRY(co_await stream->close_write());
    std::string answer;
    for (;;) {
      std::array<std::uint8_t, 1000> bytes;
      PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
      if (count == 0) co_return answer;
      answer += as_text(std::span(bytes).first(count));
    }
  }

  Task<> stop() {
    if (muxer_) muxer_->close(GoAway::normal);
    co_return co_await tasks_.join();
  }

  void on_stream(std::unique_ptr<Stream> stream) override { tasks_.spawn(echo(std::move(stream))); }

  std::optional<PeerId> peer_;
  std::string inlined_muxer_;

 private:
  static KeyPair key(std::uint8_t seed) {
    std::array<std::uint8_t, 32> bytes;
    bytes.fill(seed);
    return KeyPair::from_seed(bytes);
  }

  static Task<> echo(std::unique_ptr<Stream> stream) {
    PYRSIA_CO_TRY(co_await wire::answer(*stream, is_echo, kUnlisted));
    Bytes bytes(100'000);
    for (;;) {
      PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
      if (count == 0) co_return co_await stream->close_write();
      const auto read = std::span(bytes).first(count);
      PYRSIA_CO_TRY(co_await stream->write_all(read));
    }
  }

  Env& env_;
  KeyPair key_;
  noise::Identity identity_;
  yamux::Metrics metrics_;
  std::unique_ptr<Muxer> muxer_;
  TaskGroup tasks_;
};

struct Pair {
  explicit Pair(sim::World& world, const sim::PipeConfig& config)
      : a(world.env(), 1, {std::string(yamux::kProtocol)}),
        b(world.env(), 2, {std::string(yamux::kProtocol)}) {
    std::tie(stream_a, stream_b) = sim::make_pipe(world.env(), config);
  }

  Node a;
  Node b;
  std::unique_ptr<Stream> stream_a;
  std::unique_ptr<Stream> stream_b;
};

Task<std::string> connect_and_ask(Pair& pair, std::string text) {
  PYRSIA_CO_TRY(co_await pair.a.upgrade(std::move(pair.stream_a), Role::initiator, pair.b.id()));
  co_return co_await pair.a.ask(std::move(text));
}

TEST(Upgrade, CostsOneRoundTripAndTheFirstStreamOneMore) {
  sim::World world;
  Pair pair(world, {.one_way_delay = 50ms});
  auto [dialed, accepted] =
      world.run(pair.a.upgrade(std::move(pair.stream_a), Role::initiator, pair.b.id()),
                pair.b.upgrade(std::move(pair.stream_b), Role::responder, std::nullopt));
  ASSERT_TRUE(dialed) << dialed.error();
  ASSERT_TRUE(accepted) << accepted.error();
  EXPECT_EQ(world.now(), TimePoint(150ms));  // The responder's end: message 3 has come.
  EXPECT_EQ(*pair.a.peer_, pair.b.id());
  EXPECT_EQ(*pair.b.peer_, pair.a.id());
  EXPECT_EQ(pair.a.inlined_muxer_, yamux::kProtocol);
  EXPECT_EQ(pair.b.inlined_muxer_, yamux::kProtocol);
  auto [text] = world.run(pair.a.ask("hello"));
  EXPECT_EQ(*text, "hello");
  EXPECT_EQ(world.now(), TimePoint(250ms));
  world.run(pair.a.stop(), pair.b.stop());
}

TEST(Upgrade, BringsTheFirstByteBackAfterTwoRoundTrips) {
  sim::World world;
  Pair pair(world, {.one_way_delay = 50ms});
  auto [text, accepted] =
      world.run(connect_and_ask(pair, "hello"),
                pair.b.upgrade(std::move(pair.stream_b), Role::responder, std::nullopt));
  EXPECT_EQ(*text, "hello");
  EXPECT_EQ(world.now(), TimePoint(200ms));
  world.run(pair.a.stop(), pair.b.stop());
}

TEST(Upgrade, WorksAByteAtATimeAndThroughSmallBuffers) {
  for (const sim::PipeConfig& config :
       {sim::PipeConfig{.max_read_bytes = 1}, sim::PipeConfig{.buffer_bytes = 1}}) {
    sim::World world;
    Pair pair(world, config);
    const std::string text(10'000, 'x');
    auto [answer, accepted] =
        world.run(connect_and_ask(pair, text),
                  pair.b.upgrade(std::move(pair.stream_b), Role::responder, std::nullopt));
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(*answer, text);
    world.run(pair.a.stop(), pair.b.stop());
  }
}

TEST(Upgrade, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    Pair pair(world, {.one_way_delay = 1ms, .fail_after = fail_after});
    auto [answer, accepted] =
        world.run(connect_and_ask(pair, "hello"),
                  pair.b.upgrade(std::move(pair.stream_b), Role::responder, std::nullopt));
    EXPECT_TRUE(answer || answer.error() == Errc::closed) << fail_after << answer.error();
    EXPECT_TRUE(accepted || accepted.error() == Errc::closed) << fail_after << accepted.error();
    auto [a_stopped, b_stopped] = world.run(pair.a.stop(), pair.b.stop());
    EXPECT_TRUE(a_stopped && b_stopped) << fail_after;
    if (answer && accepted) break;
    ASSERT_LT(fail_after, 60);
  }
}

}  // namespace
}  // namespace pyrsia::mux

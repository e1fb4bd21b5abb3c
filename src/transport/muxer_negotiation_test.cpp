#include "transport/muxer_negotiation.hpp"

#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::transport {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kAnswer = "\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n";
constexpr std::string_view kRefusal = "\x13/multistream/1.0.0\n\x03na\n";

/// A channel without encryption.
class PlainChannel final : public secure::Channel {
 public:
  explicit PlainChannel(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  Task<BytesView> read() override {
    PYRSIA_CO_TRY(const auto count, co_await stream_->read_some(buffer_));
    if (count == 0) co_return Errc::closed;
    co_return BytesView(buffer_).first(count);
  }
  Task<> write(std::span<const BytesView> parts) override {
    return stream_->write_all_parts(parts);
  }
  std::size_t max_frame_bytes() const override { return buffer_.size(); }
  std::size_t max_write_bytes() const override { return buffer_.size(); }
  void abort() noexcept override { stream_->reset(); }

 private:
  std::unique_ptr<Stream> stream_;
  std::array<std::uint8_t, 1000> buffer_{};
};

Task<std::unique_ptr<secure::Channel>> agree(std::unique_ptr<Stream> stream, Role role) {
  std::unique_ptr<secure::Channel> plain = std::make_unique<PlainChannel>(std::move(stream));
  co_return co_await agree_on_muxer(std::move(plain), role, "/yamux/1.0.0");
}

/// Agrees, and returns what is read after it, up to `size` bytes.
Task<std::string> agree_and_read(std::unique_ptr<Stream> stream, Role role, std::size_t size) {
  PYRSIA_CO_TRY(const auto channel, co_await agree(std::move(stream), role));
  std::string text;
  while (text.size() < size) {
    PYRSIA_CO_TRY(const auto bytes, co_await channel->read());
    text += as_text(bytes);
  }
  co_return text;
}

Task<> agree_and_write(std::unique_ptr<Stream> stream, Role role, std::string text) {
  PYRSIA_CO_TRY(const auto channel, co_await agree(std::move(stream), role));
  const std::array parts{as_bytes(text)};
  PYRSIA_CO_TRY(co_await channel->write(parts));
  // Stays until the other side has gone.
  PYRSIA_CO_TRY(co_await channel->read());
  co_return ok;
}

Task<std::string> answered_with(Stream& peer, std::string text) {
  PYRSIA_CO_TRY(co_await peer.write_all(as_bytes(text)));
  co_return text;
}

TEST(MuxerNegotiation, TheInitiatorsFirstBytesReachTheResponder) {
  for (const std::size_t max_read : {std::size_t(1), std::size_t(7), SIZE_MAX}) {
    sim::World world;
    const sim::PipeConfig pipe{.one_way_delay = 50ms, .max_read_bytes = max_read};
    auto [a, b] = sim::make_pipe(world.env(), pipe);
    auto [written, read] = world.run(agree_and_write(std::move(a), Role::initiator, "first"),
                                     agree_and_read(std::move(b), Role::responder, 5));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, "first");
    EXPECT_EQ(world.now(), TimePoint(50ms)) << "the initiator waits for no answer";
  }
}

TEST(MuxerNegotiation, TheRespondersFirstBytesReachTheInitiator) {
  for (const std::size_t max_read : {std::size_t(1), std::size_t(7), SIZE_MAX}) {
    sim::World world;
    const sim::PipeConfig pipe{.max_read_bytes = max_read};
    auto [a, b] = sim::make_pipe(world.env(), pipe);
    auto [read, written] = world.run(agree_and_read(std::move(a), Role::initiator, 5),
                                     agree_and_write(std::move(b), Role::responder, "first"));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, "first");
  }
}

TEST(MuxerNegotiation, LeftoverOfTheAnswerIsKept) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [read, sent] = world.run(agree_and_read(std::move(a), Role::initiator, 4),
                                answered_with(*b, std::string(kAnswer) + "more"));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, "more");
}

TEST(MuxerNegotiation, ARefusalAndGarbageAreToldApart) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [refused, sent] = world.run(agree_and_read(std::move(a), Role::initiator, 4),
                                   answered_with(*b, std::string(kRefusal)));
  EXPECT_EQ(refused.error(), Errc::not_supported);
  auto [c, d] = sim::make_pipe(world.env(), {});
  auto [confused, sent_too] = world.run(agree_and_read(std::move(c), Role::initiator, 4),
                                        answered_with(*d, "HTTP/1.1 400 Bad Request"));
  EXPECT_EQ(confused.error(), Errc::protocol_violation);
  auto [e, f] = sim::make_pipe(world.env(), {});
  auto [unanswered, sent_three] = world.run(agree_and_read(std::move(e), Role::responder, 4),
                                            answered_with(*f, "GET / HTTP/1.1"));
  EXPECT_FALSE(unanswered);
}

// Every flow has this test: break the stream at each operation in turn, until none is left.
TEST(MuxerNegotiation, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    ASSERT_LT(fail_after, 100);
    sim::World world;
    const sim::PipeConfig pipe{.one_way_delay = 1ms, .fail_after = fail_after};
    auto [a, b] = sim::make_pipe(world.env(), pipe);
    auto [written, read] = world.run(agree_and_write(std::move(a), Role::initiator, "first"),
                                     agree_and_read(std::move(b), Role::responder, 5));
    EXPECT_EQ(world.deadlock_report(), "");
    if (read) break;
  }
}

}  // namespace
}  // namespace pyrsia::transport

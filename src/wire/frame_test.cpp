#include "wire/frame.hpp"

#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/buffered_stream.hpp"

#include <gtest/gtest.h>

namespace pyrsia::wire {
namespace {

Task<> send(Stream& stream, Bytes bytes) {
  co_return co_await stream.write_all(bytes);
}

Result<Bytes> read(const Bytes& sent, std::size_t max_bytes) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.max_read_bytes = 1});
  auto [written, message] = world.run(send(*a, sent), read_frame(*b, max_bytes));
  return message;
}

TEST(Frame, HasItsLengthInFront) {
  EXPECT_EQ(*read({2, 7, 8}, 2), (Bytes{7, 8}));
  EXPECT_EQ(*read({0}, 2), Bytes());
  Bytes long_frame = {0xac, 0x02};
  long_frame.resize(302, 1);
  EXPECT_EQ(*read(long_frame, 300), Bytes(300, 1));
}

TEST(Frame, IsRefusedOverItsLimitBeforeItIsRead) {
  EXPECT_EQ(read({3}, 2).error(), Errc::too_large);
  EXPECT_EQ(read({0xac, 0x02}, 299).error(), Errc::too_large);
  EXPECT_EQ(read({0xff, 0xff, 0xff, 0xff, 0xff}, SIZE_MAX).error(), Errc::too_large);
}

TEST(Frame, IsRefusedWithALengthThatIsNotMinimal) {
  EXPECT_EQ(read({0x81, 0x00}, 2).error(), Errc::malformed);
  EXPECT_EQ(read({0x80, 0x00}, 2).error(), Errc::malformed);
}

TEST(Frame, SurvivesItsOwnRoundTrip) {
  for (const std::size_t size : {0, 1, 127, 128, 16383, 16384, 100'000}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    const Bytes message(size, 5);
    auto [written, got] = world.run(write_frame(*a, message), read_frame(*b, size));
    EXPECT_EQ(*got, message);
  }
}

TEST(Frame, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.fail_after = fail_after, .max_read_bytes = 1});
    const Bytes message(3, 5);
    auto [written, got] = world.run(write_frame(*a, message), read_frame(*b, 3));
    if (written && got) break;
    EXPECT_EQ((written ? got.error() : written.error()), Errc::closed);
    ASSERT_LT(fail_after, 10);
  }
}

Task<Bytes> read_bytes(Stream& stream, std::size_t count) {
  Bytes bytes(count);
  PYRSIA_CO_TRY(co_await read_exactly(stream, bytes));
  co_return bytes;
}

Task<> wait_readable(Stream& stream) {
  co_return co_await stream.wait_readable();
}

TEST(BufferedStream, ReadsAheadOnceAndKeepsTheRest) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.fail_after = 2});  // The send and one read.
  BufferedStream buffered(std::move(b));
  auto [sent] = world.run(send(*a, {1, 2, 3}));
  EXPECT_TRUE(sent);
  for (std::uint8_t byte = 1; byte <= 3; ++byte) {
    auto [readable] = world.run(wait_readable(buffered));
    EXPECT_TRUE(readable);
    auto [read] = world.run(read_bytes(buffered, 1));
    EXPECT_EQ(*read, Bytes{byte});
  }
}

Task<> write_one(Stream& stream, std::uint8_t byte) {
  const Bytes bytes(1, byte);
  co_return co_await stream.write_all(bytes);
}

TEST(BufferedStream, HeldWritesLeaveTogetherBeforeTheNextReadFromBelow) {
  sim::World world;
  // One write of ours for both bytes, one read, and the same of the other side.
  auto [a, b] = sim::make_pipe(world.env(), {.fail_after = 4});
  BufferedStream buffered(std::move(a));
  buffered.hold_writes();
  world.run(write_one(buffered, 1), write_one(buffered, 2));
  world.run(send(*b, {3, 4}));
  auto [first] = world.run(read_bytes(buffered, 1));
  EXPECT_TRUE(first);
  auto [arrived] = world.run(read_bytes(*b, 2));
  EXPECT_EQ(*arrived, (Bytes{1, 2}));
}

TEST(BufferedStream, HeldWritesStayWhileWhatIsReadIsThereAlready) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  BufferedStream buffered(std::move(a));
  world.run(send(*b, {3, 4}));
  world.run(read_bytes(buffered, 1));
  buffered.hold_writes();
  world.run(write_one(buffered, 1));
  world.run(read_bytes(buffered, 1));
  auto [released, arrived] = world.run(buffered.release_writes(), read_bytes(*b, 1));
  EXPECT_TRUE(released);
  EXPECT_EQ(*arrived, Bytes{1});
}

}  // namespace
}  // namespace pyrsia::wire

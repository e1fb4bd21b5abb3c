#include "mux/yamux/window.hpp"

#include "mux/yamux/chunk_queue.hpp"
#include "mux/yamux/wire.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace pyrsia::mux::yamux {
namespace {

using namespace std::chrono_literals;

constexpr auto kHalf = kInitialWindowBytes / 2;
constexpr std::uint32_t kMax = 1024 * 1024;

TEST(YamuxHeader, HasTheBytesOfTheSpec) {
  const Header header{Type::window_update, kSyn | kFin, 0x01020304, 0xaabbccdd};
  const HeaderBytes bytes = {0, 1, 0, 5, 1, 2, 3, 4, 0xaa, 0xbb, 0xcc, 0xdd};
  EXPECT_EQ(encode(header), bytes);
  EXPECT_EQ(*decode(bytes), header);
}

TEST(YamuxHeader, RefusesOtherVersionsAndTypes) {
  EXPECT_EQ(decode(HeaderBytes{1}).error(), Errc::malformed);
  EXPECT_EQ(decode(HeaderBytes{0, 4}).error(), Errc::malformed);
}

TEST(SendWindow, RefusesAGrantThatOverflows) {
  SendWindow window;
  window.take(kInitialWindowBytes);
  EXPECT_EQ(window.bytes(), 0U);
  EXPECT_TRUE(window.grant(0xffffffff));
  EXPECT_EQ(window.grant(1).error(), Errc::protocol_violation);
}

TEST(ReceiveWindow, GrantsWhenHalfIsRead) {
  WindowBudget budget(0);
  ReceiveWindow window(budget, kMax);
  EXPECT_TRUE(window.receive(kInitialWindowBytes));
  EXPECT_FALSE(window.receive(1));
  EXPECT_EQ(window.consume(kHalf - 1, TimePoint(), std::nullopt), 0U);
  EXPECT_EQ(window.consume(1, TimePoint(), std::nullopt), kHalf);
  EXPECT_TRUE(window.receive(kHalf));
  EXPECT_FALSE(window.receive(1));
}

/// Reads half a window every `pace`, `count` times.
void read_steadily(ReceiveWindow& window, Duration pace, int count) {
  TimePoint now;
  for (int i = 0; i < count; ++i) {
    const auto half = window.size() / 2;
    EXPECT_TRUE(window.receive(half));
    window.consume(half, now += pace, 10ms);
  }
}

TEST(ReceiveWindow, DoublesWhileItIsUsedUpWithinFourRoundTrips) {
  WindowBudget budget(kMax);
  ReceiveWindow window(budget, kMax);
  read_steadily(window, 39ms, 2);
  EXPECT_EQ(window.size(), 2 * kInitialWindowBytes);
  read_steadily(window, 39ms, 9);
  EXPECT_EQ(window.size(), kMax);
}

TEST(ReceiveWindow, StaysSmallWhenTheReaderIsSlow) {
  WindowBudget budget(kMax);
  ReceiveWindow window(budget, kMax);
  read_steadily(window, 40ms, 9);
  EXPECT_EQ(window.size(), kInitialWindowBytes);
}

TEST(ReceiveWindow, GrowsOnlyWithinTheBudgetOfAllAndGivesItBack) {
  WindowBudget budget(kInitialWindowBytes);
  {
    ReceiveWindow first(budget, kMax);
    ReceiveWindow second(budget, kMax);
    read_steadily(first, 1ms, 9);
    read_steadily(second, 1ms, 9);
    EXPECT_EQ(first.size(), 2 * kInitialWindowBytes);
    EXPECT_EQ(second.size(), kInitialWindowBytes);
  }
  EXPECT_TRUE(budget.take(kInitialWindowBytes));
}

TEST(ChunkQueue, ReturnsWhatWasPushedInOrder) {
  ChunkQueue queue;
  Bytes all(50'000);
  std::iota(all.begin(), all.end(), 0);
  for (std::size_t at = 0, size = 1; at < all.size(); at += size, size = size * 7 % 1009 + 1) {
    size = std::min(size, all.size() - at);
    queue.push(std::span(all).subspan(at, size));
  }
  EXPECT_EQ(queue.size(), all.size());
  Bytes out(all.size() + 1);
  std::size_t got = 0;
  for (std::size_t size = 1; !queue.empty(); size = size * 5 % 1013 + 1)
    got += queue.pop(std::span(out).subspan(got, std::min(size, out.size() - got)));
  out.resize(got);
  EXPECT_TRUE(out == all);
  queue.push(all);
  queue.clear();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace pyrsia::mux::yamux

#include "host/event_queue.hpp"

#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

HostEvent numbered(std::uint16_t number) {
  return Listening{Multiaddr::tcp({IpAddress::v4({1, 2, 3, 4}), number})};
}

std::uint16_t number_of(const Result<HostEvent>& event) {
  return event ? std::get<Listening>(*event).address.port().value_or(0) : 0;
}

struct EventQueueTest : testing::Test {
  Result<HostEvent> next() { return std::get<0>(world.run(queue.next())); }

  sim::World world;
  EventQueue queue{world.env()};
};

TEST_F(EventQueueTest, EventsComeInOrder) {
  queue.push(numbered(1));
  queue.push(numbered(2));
  EXPECT_EQ(number_of(next()), 1);
  EXPECT_EQ(number_of(next()), 2);
}

TEST_F(EventQueueTest, ASlowReaderLosesTheOldest) {
  for (std::uint16_t i = 1; i <= EventQueue::kMaxEvents + 10; ++i) queue.push(numbered(i));
  EXPECT_EQ(number_of(next()), 11);
  EXPECT_EQ(queue.dropped_count(), 10U);
}

TEST_F(EventQueueTest, WhatCameBeforeTheEndIsStillRead) {
  queue.push(numbered(1));
  queue.close();
  queue.push(numbered(2));
  EXPECT_EQ(number_of(next()), 1);
  EXPECT_EQ(next().error(), Errc::closed);
  EXPECT_EQ(next().error(), Errc::closed);
}

Task<> close_later(Env& env, EventQueue& queue) {
  PYRSIA_CO_TRY(co_await env.sleep_for(std::chrono::seconds(1)));
  queue.close();
  co_return ok;
}

TEST_F(EventQueueTest, TheEndWakesTheReader) {
  auto [read, closed] = world.run(queue.next(), close_later(world.env(), queue));
  EXPECT_EQ(read.error(), Errc::closed);
}

}  // namespace
}  // namespace pyrsia

#include "protocols/identify/exchange.hpp"

#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/finish.hpp"
#include "wire/frame.hpp"

#include <gtest/gtest.h>

namespace pyrsia::identify {
namespace {

using namespace std::chrono_literals;

Message sample() {
  Message message;
  message.public_key = Bytes{8, 1, 18, 1, 7};
  message.protocols = {"/ipfs/id/1.0.0"};
  message.agent_version = "pyrsia/0.1.0";
  return message;
}

Task<> send_many(Stream& stream, int count) {
  const auto bytes = encode(sample());
  for (int i = 0; i < count; ++i) PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  co_return co_await wire::finish(stream);
}

Task<> send_and_drop(Stream& stream, Bytes bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return ok;
}

TEST(IdentifyExchange, EndsAtBothSidesAfterOneRoundTrip) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 25ms, .max_read_bytes = 1});

  auto [sent, received] = world.run(send(*a, encode(sample())), receive(*b));

  ASSERT_TRUE(sent && received) << received.error();
  EXPECT_EQ(*received, sample());
  EXPECT_EQ(world.now(), TimePoint(50ms));  // The message, and the reader's end.
}

TEST(IdentifyExchange, ReadsTheStyleOfManyMessages) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [sent, received] = world.run(send_many(*a, 10), receive(*b));

  ASSERT_TRUE(received) << received.error();
  EXPECT_EQ(received->protocols.size(), 10u);
}

TEST(IdentifyExchange, EndlessSenderIsCutOff) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [sent, received] = world.run(send_and_drop(*a, Bytes(200'000, 0x01)), receive(*b));

  EXPECT_EQ(received.error(), Errc::too_large);
}

TEST(IdentifyExchange, SilentPeerCostsTheTimeoutAndNoMore) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [received] = world.run(with_timeout(world.env(), 5s, receive(*b)));

  EXPECT_EQ(received.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(5s));
}

TEST(IdentifyExchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});

    auto [sent, received] = world.run(send_many(*a, 2), receive(*b));

    if (sent && received && received->protocols.size() == 2) break;
    EXPECT_TRUE(sent || sent.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(received || received.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

}  // namespace
}  // namespace pyrsia::identify

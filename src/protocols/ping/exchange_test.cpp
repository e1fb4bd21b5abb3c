#include "protocols/ping/exchange.hpp"

#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia::ping {
namespace {

using namespace std::chrono_literals;

Task<> answer_all(Stream& stream) {
  for (;;) {
    PYRSIA_CO_TRY(const bool is_open, co_await echo(stream));
    if (!is_open) co_return co_await stream.close_write();
  }
}

Task<Duration> ask_twice(Env& env, Stream& stream) {
  PYRSIA_CO_TRY(const auto first, co_await ask(env, stream));
  PYRSIA_CO_TRY(const auto second, co_await ask(env, stream));
  PYRSIA_CO_TRY(co_await stream.close_write());
  co_return first + second;
}

Task<> answer_wrongly(Stream& stream) {
  Bytes payload(kPayloadBytes);
  PYRSIA_CO_TRY(co_await read_exactly(stream, payload));
  payload.back() ^= 1;
  co_return co_await stream.write_all(payload);
}

TEST(PingExchange, MeasuresTheRoundTripAgainAndAgain) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 25ms, .max_read_bytes = 5});

  auto [total, served] = world.run(ask_twice(world.env(), *a), answer_all(*b));

  ASSERT_TRUE(total) << total.error();
  EXPECT_EQ(*total, 100ms);
  EXPECT_TRUE(served);
}

TEST(PingExchange, OtherBytesAreAViolation) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [asked, served] = world.run(ask(world.env(), *a), answer_wrongly(*b));

  EXPECT_EQ(asked.error(), Errc::protocol_violation);
}

TEST(PingExchange, SilentPeerCostsTheTimeoutAndNoMore) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [asked] = world.run(with_timeout(world.env(), 10s, ask(world.env(), *a)));

  EXPECT_EQ(asked.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(10s));
}

TEST(PingExchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});

    auto [total, served] = world.run(ask_twice(world.env(), *a), answer_all(*b));

    if (total && served) break;
    EXPECT_TRUE(total || total.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(served || served.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

}  // namespace
}  // namespace pyrsia::ping

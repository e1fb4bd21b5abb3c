#include "protocols/autonat/exchange.hpp"

#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia::autonat {
namespace {

using namespace std::chrono_literals;

Dial sample() {
  const auto peer = PeerId::parse("12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A");
  return {*peer, {*Multiaddr::parse("/ip4/1.2.3.4/tcp/44000")}, 0};
}

Task<Dial> serve(Stream& stream, DialResponse response) {
  PYRSIA_CO_TRY(auto dial, co_await receive_request(stream));
  PYRSIA_CO_TRY(co_await respond(stream, response));
  co_return dial;
}

TEST(AutonatExchange, TakesOneRoundTrip) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 25ms, .max_read_bytes = 3});
  const DialResponse failed{Status::dial_error, "dial failed", {}};

  auto [response, dial] = world.run(request(*a, sample()), serve(*b, failed));

  ASSERT_TRUE(response && dial);
  EXPECT_EQ(*response, failed);
  EXPECT_EQ(*dial, sample());
  EXPECT_EQ(world.now(), TimePoint(50ms));
}

TEST(AutonatExchange, SilentServerCostsTheTimeoutAndNoMore) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [response] = world.run(with_timeout(world.env(), 30s, request(*a, sample())));

  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(30s));
}

TEST(AutonatExchange, HangingUpIsNoAnswer) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});

  auto [response, closed] = world.run(request(*a, sample()), b->close_write());

  EXPECT_EQ(response.error(), Errc::closed);
}

TEST(AutonatExchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    const DialResponse failed{Status::dial_error, "dial failed", {}};

    auto [response, dial] = world.run(request(*a, sample()), serve(*b, failed));

    if (response && dial) break;
    EXPECT_TRUE(response || response.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(dial || dial.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

}  // namespace
}  // namespace pyrsia::autonat

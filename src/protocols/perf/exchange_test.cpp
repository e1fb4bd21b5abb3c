#include "protocols/perf/exchange.hpp"

#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia::perf {
namespace {

using namespace std::chrono_literals;

Task<> send_order_and_end(Stream& stream) {
  const Bytes order{0, 0, 0, 0, 0, 0, 1, 2};
  PYRSIA_CO_TRY(co_await stream.write_all(order));
  co_return co_await stream.close_write();
}

Task<> send_only(Stream& stream, std::size_t count) {
  const Bytes bytes(count);
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

TEST(PerfExchange, EverySizeGoesBothWays) {
  for (const std::uint64_t up : {0u, 1u, 65'536u, 200'000u}) {
    for (const std::uint64_t down : {0u, 1u, 65'537u, 300'000u}) {
      sim::World world;
      auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 5ms, .buffer_bytes = 10'000});
      Progress client;
      Progress server;
      auto [ran, served] = world.run(run(*a, up, down, client), serve(*b, server));
      ASSERT_TRUE(ran && served) << up << " " << down;
      EXPECT_EQ(client.uploaded_bytes, up);
      EXPECT_EQ(client.downloaded_bytes, down);
      EXPECT_EQ(server.uploaded_bytes, up);
      EXPECT_EQ(server.downloaded_bytes, down);
    }
  }
}

TEST(PerfExchange, TheOrderIsBigEndian) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  Progress server;
  auto [sent, served] = world.run(send_order_and_end(*a), serve(*b, server));
  EXPECT_TRUE(served) << served.error();
  EXPECT_EQ(server.downloaded_bytes, 258u);
}

TEST(PerfExchange, OtherThanWhatWasAskedForIsAnError) {
  for (const std::size_t count : {99u, 101u}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    Progress client;
    auto [ran, sent] = world.run(run(*a, 0, 100, client), send_only(*b, count));
    EXPECT_EQ(ran.error(), count < 100 ? Errc::closed : Errc::protocol_violation);
  }
}

TEST(PerfExchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    Progress client;
    Progress server;
    auto [ran, served] = world.run(run(*a, 100'000, 100'000, client), serve(*b, server));
    if (ran && served) break;
    EXPECT_TRUE(ran || ran.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(served || served.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 60);
  }
}

}  // namespace
}  // namespace pyrsia::perf

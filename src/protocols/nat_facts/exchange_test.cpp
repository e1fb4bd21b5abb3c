#include "protocols/nat_facts/exchange.hpp"

#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/frame.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat_facts {
namespace {

using namespace std::chrono_literals;

nat::Report some() {
  nat::Report report;
  report.udp.mapping = nat::Dependence::endpoint_independent;
  report.udp.filtering = nat::Dependence::address_dependent;
  return report;
}

TEST(NatFactsExchange, TakesOneRoundTripAtMost) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 50ms});
  const auto report = some();
  auto [asked, answered] = world.run(ask(*a), answer(*b, report));
  ASSERT_TRUE(asked && answered);
  EXPECT_EQ(asked->udp, report.udp);
  EXPECT_LE(world.now() - TimePoint(), 100ms);
}

Task<> say(Stream& stream, Bytes frame) {
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, frame));
  co_return co_await stream.close_write();
}

TEST(NatFactsExchange, NonsenseIsMalformedAndSilenceIsClosed) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [asked, said] = world.run(ask(*a), say(*b, Bytes{5 << 3, 9}));
  EXPECT_EQ(asked.error(), Errc::malformed);
  auto [c, d] = sim::make_pipe(world.env(), {});
  auto [asked_too, closed] = world.run(ask(*c), d->close_write());
  EXPECT_EQ(asked_too.error(), Errc::closed);
}

TEST(NatFactsExchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(
        world.env(), {.one_way_delay = 1ms, .fail_after = fail_after, .max_read_bytes = 1});
    const auto report = some();
    auto [asked, answered] = world.run(ask(*a), answer(*b, report));
    if (asked && answered) break;
    EXPECT_TRUE(asked || asked.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 60);
  }
}

}  // namespace
}  // namespace pyrsia::nat_facts

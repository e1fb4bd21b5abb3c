#include "protocols/nat_facts/server.hpp"

#include "protocols/nat_facts/exchange.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <pyrsia/key.hpp>

#include <gtest/gtest.h>

namespace pyrsia::nat_facts {
namespace {

using namespace std::chrono_literals;

PeerId peer(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed).peer_id();
}

const auto kIp = *IpAddress::parse("198.51.100.7");

/// A server whose facts are those of an easy NAT, or fail, or never come.
struct Served {
  enum class Facts { easy, fail, never };
  sim::World world;
  Facts kind = Facts::easy;
  Server server{world.env(), ServerConfig(), [this] { return facts(); }};

  Task<nat::Report> facts() {
    if (kind == Facts::fail) co_return Errc::unavailable;
    if (kind == Facts::never) PYRSIA_CO_TRY(co_await world.env().sleep_for(1h));
    nat::Report report;
    report.udp.mapping = nat::Dependence::endpoint_independent;
    co_return report;
  }
  Result<nat::Report> ask_as(const PeerId& who, const IpAddress& ip) {
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 10ms});
    auto [asked, served] = world.run(ask(*a), server.serve(who, ip, std::move(b)));
    return asked;
  }
};

TEST(NatFactsServer, TellsWhatIsKnown) {
  Served served;
  const auto report = served.ask_as(peer(1), kIp);
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report->udp.mapping, nat::Dependence::endpoint_independent);
  EXPECT_EQ(served.server.metrics().answered.value(), 1U);
}

TEST(NatFactsServer, OnePeerIsToldSixTimesAMinute) {
  Served served;
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(served.ask_as(peer(1), kIp)) << i;
  EXPECT_FALSE(served.ask_as(peer(1), kIp));
  EXPECT_TRUE(served.ask_as(peer(2), kIp));
  EXPECT_EQ(served.server.metrics().limited.value(), 1U);
  served.world.run_for(1min);
  EXPECT_TRUE(served.ask_as(peer(1), kIp));
}

TEST(NatFactsServer, ManyIdsAtOneAddressAreLimitedTogether) {
  Served served;
  int told = 0;
  for (std::uint8_t i = 0; i < 40; ++i)
    if (served.ask_as(peer(i), kIp)) ++told;
  EXPECT_EQ(told, 12);
}

TEST(NatFactsServer, FactsThatFailOrNeverComeEndTheStream) {
  Served served;
  served.kind = Served::Facts::fail;
  EXPECT_FALSE(served.ask_as(peer(1), kIp));
  served.kind = Served::Facts::never;
  const auto begin = served.world.now();
  EXPECT_FALSE(served.ask_as(peer(1), kIp));
  EXPECT_EQ(served.world.now() - begin, 10s);
  EXPECT_EQ(served.server.metrics().failed.value(), 2U);
}

}  // namespace
}  // namespace pyrsia::nat_facts

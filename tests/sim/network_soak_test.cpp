// A town of 50 nodes in which machines crash, programs are killed, the network falls apart and
// heals, boxes reboot and providers hand out other addresses. When all is quiet again, each node
// must have joined and know what is true of its place.
#include "sim_town.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kUsualSeedCount = 1;
constexpr int kDisturbances = 40;
constexpr Duration kBetweenDisturbances = 10s;
/// Longer than the longest pause between two rounds of joining, and four probes.
constexpr Duration kQuiet = 15min;

/// Those of sim::seeds(); PYRSIA_SEEDS says how many, and PYRSIA_SEEDS_AFTER where they begin.
std::vector<std::uint64_t> chosen_seeds() {
  const auto number = [](const char* name, std::uint64_t usual) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : usual;
  };
  const auto first = number("PYRSIA_SEEDS_AFTER", 0);
  auto all = sim::seeds(first + number("PYRSIA_SEEDS", kUsualSeedCount));
  if (all.size() > first) all.erase(all.begin(), all.begin() + std::ptrdiff_t(first));
  return all;
}

void live_through(Town& town) {
  ASSERT_TRUE(town.start()) << town.world().deadlock_report();
  for (int i = 0; i < kDisturbances; ++i) {
    town.world().run_for(kBetweenDisturbances);
    ASSERT_TRUE(town.disturb()) << town.world().deadlock_report();
    ASSERT_EQ(town.nonsense(), "");
  }
  ASSERT_TRUE(town.calm()) << town.world().deadlock_report();
  const auto until = town.world().now() + kQuiet;
  while (!town.problem().empty() && town.world().now() < until) town.world().run_for(5s);
  EXPECT_EQ(town.problem(), "");
  EXPECT_EQ(town.nonsense(), "");
}

void leave(Town& town) {
  const auto asked_at = town.world().now();
  ASSERT_TRUE(town.stop()) << town.world().deadlock_report();
  EXPECT_LE(town.world().now() - asked_at, 2s);
  for (const auto& resident : town.residents()) resident->machine().restart();
  town.world().run_for(1h);  // What the stacks still have to say to each other.
  for (const auto& resident : town.residents())
    EXPECT_EQ(resident->machine().connection_count(), 0U) << resident->machine().describe();
}

void live_in_a_town(std::uint64_t seed, const TownConfig& config) {
  SCOPED_TRACE(sim::seed_trace(seed));
  Town town(seed, config);
  live_through(town);
  if (testing::Test::HasFatalFailure()) std::abort();  // Tasks are left: no going on.
  leave(town);
  if (testing::Test::HasFatalFailure()) std::abort();
  std::uint64_t visits = 0;
  for (const auto& resident : town.residents()) visits += resident->visit_count();
  EXPECT_GT(visits, config.home_count);
}

TEST(NetworkSoak, ATownOfFiftyRecoversFromWhateverHappens) {
  for (const auto seed : chosen_seeds()) live_in_a_town(seed, TownConfig());
}

std::size_t trace_of(std::uint64_t seed) {
  std::size_t hash = 0;
  TownConfig config;
  config.home_count = 20;
  Town town(seed, config);
  town.network().set_trace([&](const std::string& line) {
    hash = hash * 1099511628211U ^ std::hash<std::string>()(line);
  });
  EXPECT_TRUE(town.start());
  for (int i = 0; i < 10; ++i) {
    town.world().run_for(kBetweenDisturbances);
    EXPECT_TRUE(town.disturb());
  }
  EXPECT_TRUE(town.stop()) << town.world().deadlock_report();
  return hash;
}

TEST(NetworkSoak, TheSameSeedMakesTheSamePackets) {
  EXPECT_EQ(trace_of(7), trace_of(7));
  EXPECT_NE(trace_of(7), trace_of(8));
}

}  // namespace
}  // namespace pyrsia::test

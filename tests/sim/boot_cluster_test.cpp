// Three boot servers that are members of each other.
#include "bootstrap/status/document.hpp"
#include "sim_node.hpp"

#include <gtest/gtest.h>

#include <set>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;

std::string url(std::size_t number) {
  return "http://boot" + std::to_string(number) + ".pyrsia.test:7888/status";
}

struct Cluster {
  explicit Cluster(std::size_t count) {
    world.set_run_limit(10min);
    sim::PathConfig path;
    path.one_way_delay = 25ms;
    network.set_default_path(path);
    for (std::size_t i = 0; i < count; ++i) {
      const auto ip = "30." + std::to_string(i) + ".0.1";
      network.dns().add("boot" + std::to_string(i) + ".pyrsia.test", {ip});
      machines.push_back(&network.add_host({"boot" + std::to_string(i), {ip}}));
      servers.push_back(make(i, count));
    }
  }
  std::unique_ptr<SimNode> make(std::size_t number, std::size_t count) {
    bootstrap::DirectoryConfig directory;
    for (std::size_t i = 0; i < count; ++i)
      if (i != number) directory.members.push_back(url(i));
    return std::make_unique<SimNode>(*machines[number], std::uint8_t(number + 1), boot_config(),
                                     std::move(directory));
  }
  bool start(std::size_t number) {
    auto [started] = world.run(servers[number]->start());
    return started.has_value();
  }
  bool stop(std::size_t number) {
    auto [stopped] = world.run(servers[number]->stop());
    return stopped.has_value();
  }
  std::size_t healthy(std::size_t number) const {
    return servers[number]->directory().members().healthy_count();
  }

  sim::World world;
  sim::Network network{world};
  std::vector<sim::SimHost*> machines;
  std::vector<std::unique_ptr<SimNode>> servers;
};

Task<bootstrap::StatusDocument> fetch(Env& env, std::string where) {
  HttpRequest request;
  request.url = std::move(where);
  request.timeout = 5s;
  request.max_body_bytes = bootstrap::kMaxStatusBytes;
  std::string detail;
  PYRSIA_CO_TRY(const auto response, co_await env.http_get(std::move(request), &detail));
  std::vector<std::string> problems;
  co_return bootstrap::read_status(response.body, problems);
}

TEST(BootCluster, EachServerLeadsTheListInItsTurnAndADeadOneLeavesIt) {
  Cluster cluster(3);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(cluster.start(i));
  cluster.world.run_for(5s);
  auto& asker = cluster.network.add_host({"asker", {"5.6.7.9"}});

  std::set<std::string> leaders;
  for (int i = 0; i < 3; ++i) {
    auto [document] = cluster.world.run(fetch(asker, url(0)));
    ASSERT_TRUE(document) << document.error();
    EXPECT_EQ(document->peer_addrs.size(), 3U);
    leaders.insert(document->peer_addrs.front().to_string());
  }
  EXPECT_EQ(leaders.size(), 3U);

  cluster.machines[2]->crash();
  ASSERT_TRUE(cluster.stop(2));
  cluster.world.run_for(8s);
  EXPECT_EQ(cluster.healthy(0), 1U);
  auto [document] = cluster.world.run(fetch(asker, url(0)));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->peer_addrs.size(), 2U);

  cluster.machines[2]->restart();
  cluster.servers[2] = cluster.make(2, 3);
  ASSERT_TRUE(cluster.start(2));
  cluster.world.run_for(5s);
  EXPECT_EQ(cluster.healthy(0), 2U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(cluster.stop(i));
}

TEST(BootCluster, ANodeMovesToALiveMemberWhenItsOwnDies) {
  Cluster cluster(2);
  ASSERT_TRUE(cluster.start(0) && cluster.start(1));
  cluster.world.run_for(5s);
  auto config = node_config(url(0));
  SimNode node(cluster.network.add_host({"node", {"5.6.7.9"}}), 9, config);
  auto [started] = cluster.world.run(node.start());
  ASSERT_TRUE(started);
  cluster.world.run_for(10s);
  EXPECT_EQ(node.host().peers().size(), 2U);

  cluster.machines[0]->crash();
  ASSERT_TRUE(cluster.stop(0));
  cluster.world.run_for(5min);

  EXPECT_EQ(node.host().peers().size(), 1U);
  EXPECT_EQ(node.host().nat().status, Reachability::reachable);
  auto [stopped] = cluster.world.run(node.stop());
  EXPECT_TRUE(stopped && cluster.stop(1));
}

// Break every network operation of two servers that check each other: both are healthy again.
TEST(BootCluster, AMemberReturnsWhereverAHealthCheckBreaks) {
  for (std::uint64_t broken = 0;; ++broken) {
    SCOPED_TRACE(broken);
    Cluster cluster(2);
    cluster.network.fail_operation(broken);
    const bool has_started[] = {cluster.start(0), cluster.start(1)};
    const auto begun_at = cluster.network.operation_count();
    cluster.world.run_for(3s);
    const bool is_past_the_end = broken >= cluster.network.operation_count();
    cluster.world.run_for(20s);
    if (has_started[0] && has_started[1] && broken >= begun_at) {
      EXPECT_EQ(cluster.healthy(0), 1U);
      EXPECT_EQ(cluster.healthy(1), 1U);
    }
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(cluster.stop(i)) << cluster.world.deadlock_report();
    if (is_past_the_end) {
      EXPECT_GT(broken, 20U);
      break;
    }
    ASSERT_LT(broken, 1000U);
  }
}

}  // namespace
}  // namespace pyrsia::test

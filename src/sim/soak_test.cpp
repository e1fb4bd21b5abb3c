#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 4001;

/// A host that echoes to whoever comes, and asks others for ever.
class Chatter {
 public:
  Chatter(SimHost& host, const std::vector<Endpoint>& others)
      : host_(host), others_(others), tasks_(host) {}

  void start() {
    tasks_.spawn(serve());
    tasks_.spawn(ask_for_ever());
  }
  Task<> stop() {
    tasks_.cancel();
    co_return co_await tasks_.join();
  }
  std::uint64_t echo_count() const { return echo_count_; }

 private:
  Task<> serve() {
    for (;;) {
      const TcpListenOptions options;
      const auto listener = host_.tcp_listen({IpAddress::v4_any(), kPort}, options);
      while (listener) {
        auto socket = co_await (*listener)->accept();
        if (!socket) break;
        if (tasks_.size() < 50) tasks_.spawn(echo(std::move(*socket)));
      }
      PYRSIA_CO_TRY(co_await host_.sleep_for(1s));  // The host is down.
    }
  }

  Task<> echo(std::unique_ptr<TcpSocket> socket) {
    co_return co_await with_timeout(host_, 1min, echo_all(*socket));
  }

  Task<> echo_all(Stream& stream) {
    Bytes bytes(8192);
    for (;;) {
      PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
      if (count == 0) co_return co_await stream.close_write();
      PYRSIA_CO_TRY(co_await stream.write_all(std::span(bytes).first(count)));
    }
  }

  Task<> ask_for_ever() {
    for (;;) {
      const auto pause = Duration(1s) + Duration(std::int64_t(host_.random_below(3'000'000'000)));
      PYRSIA_CO_TRY(co_await host_.sleep_for(pause));
      const auto& remote = others_[host_.random_below(others_.size())];
      const auto asked = co_await with_timeout(host_, 20s, ask(remote));
      echo_count_ += asked ? 1 : 0;
    }
  }

  Task<> ask(Endpoint remote) {
    PYRSIA_CO_TRY(const auto socket, co_await dial(host_, remote));
    Bytes question(1 + host_.random_below(50'000));
    host_.random(question);
    PYRSIA_CO_TRY(co_await socket->write_all(question));
    PYRSIA_CO_TRY(co_await socket->close_write());
    Bytes answer(question.size());
    PYRSIA_CO_TRY(co_await read_exactly(*socket, answer));
    EXPECT_TRUE(answer == question);
    std::array<std::uint8_t, 1> more;
    PYRSIA_CO_TRY(const auto end, co_await socket->read_some(more));
    EXPECT_EQ(end, 0U);
    co_return ok;
  }

  SimHost& host_;
  const std::vector<Endpoint>& others_;
  std::uint64_t echo_count_ = 0;
  TaskGroup tasks_;
};

/// Twelve hosts, most behind boxes of all kinds, on bad links.
struct Town {
  explicit Town(std::uint64_t seed) : world(seed), random(world.random_stream(1000)) {
    PathConfig path = delay_of(30ms);
    path.jitter = 10ms;
    path.loss = 0.02;
    path.reorder = 0.05;
    path.bytes_per_second = 5'000'000;
    net.set_default_path(path);
    for (int i = 0; i < 12; ++i) add(i);
    for (auto* host : hosts) chatters.push_back(std::make_unique<Chatter>(*host, reachable));
    for (auto& chatter : chatters) chatter->start();
  }

  void add(int number) {
    const auto outer = "20.0.0." + std::to_string(number + 1);
    reachable.push_back(at(outer, kPort));
    if (number % 3 == 0) {
      hosts.push_back(&net.add_host({"public", {outer}}));
      return;
    }
    NatConfig config;
    config.external = {IpAddress::parse(outer).value()};
    config.mapping = Dependence(random() % 3);
    config.filtering = Dependence(random() % 3);
    config.allocation = PortAllocation(random() % 3);
    config.has_hairpin = random() % 2 == 0;
    config.refuses_tcp = random() % 2 == 0;
    config.tcp_lifetime = Duration(5s);
    if (number % 3 == 1) config.forwards = {{Protocol::tcp, kPort, at("10.0.0.2", kPort)}};
    hosts.push_back(&net.add_host({"home", {"10.0.0.2"}, &net.add_nat(config)}));
  }

  /// Something goes wrong, or is mended.
  void disturb() {
    auto& host = *hosts[random() % hosts.size()];
    switch (random() % 5) {
      case 0: host.crash(); break;
      case 1: host.kill(); break;
      case 2: net.partition({&host}, {hosts[random() % hosts.size()]}); break;
      case 3: net.heal(); break;
      default:
        for (auto* each : hosts) each->restart();
    }
  }

  Task<> stop() {
    for (auto& chatter : chatters) PYRSIA_CO_TRY(co_await chatter->stop());
    co_return ok;
  }

  World world;
  Network net{world};
  std::mt19937_64 random;
  std::vector<SimHost*> hosts;
  std::vector<Endpoint> reachable;
  std::vector<std::unique_ptr<Chatter>> chatters;
};

TEST(SimSoak, CrashesAndPartitionsNeitherHangNorLeakNorCorrupt) {
  std::map<std::string, std::uint64_t, std::less<>> seen;
  for (const auto seed : seeds(6)) {
    SCOPED_TRACE(seed_trace(seed));
    Town town(seed);
    for (int i = 0; i < 30; ++i) {
      town.world.run_for(3s);
      town.disturb();
    }
    auto [stopped] = town.world.run(town.stop());
    EXPECT_TRUE(stopped) << town.world.deadlock_report();
    std::uint64_t echo_count = 0;
    for (const auto& chatter : town.chatters) echo_count += chatter->echo_count();
    EXPECT_GT(echo_count, 20U);
    town.net.heal();
    for (auto* host : town.hosts) host->restart();
    town.world.run_for(1h);
    for (auto* host : town.hosts) EXPECT_EQ(host->connection_count(), 0U) << host->describe();
    for (const auto& [name, count] : town.world.probes()) seen[name] += count;
  }
  if (seeds(6).size() == 1) return;  // One seed alone need not see everything.
  for (const auto* name : {"tcp: retransmission", "tcp: fast retransmission", "tcp: out of order",
                           "nat: refused a connection"})
    EXPECT_GT(seen[name], 0U) << name;
}

}  // namespace
}  // namespace pyrsia::sim

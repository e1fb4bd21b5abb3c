#include "protocols/perf/server.hpp"

#include "protocols/perf/exchange.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "sim/two_hosts.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::perf {
namespace {

using namespace std::chrono_literals;

class PerfServer : public testing::Test {
 protected:
  PerfServer() {
    net.set_default_path(sim::delay_of(10ms));
    server.start();
    client.knows(serving, {serving.listen("/ip4/5.6.7.8/tcp/4001").to_string()});
  }
  ~PerfServer() override { world.run(client.swarm.stop(), serving.swarm.stop()); }

  std::unique_ptr<Stream> open() {
    auto [stream] = world.run(client.swarm.open_stream(serving.peer(), std::string(kProtocol)));
    return std::move(*stream);
  }

  sim::World world;
  sim::Network net{world};
  swarm::TestNode client{net.add_host({"client", {"1.2.3.4"}}), 1};
  swarm::TestNode serving{net.add_host({"server", {"5.6.7.8"}}), 2};
  Server server{serving.swarm, {.timeout = 10s, .max_streams_of_one_peer = 2}};
};

Task<> write_for_ever(Stream& stream) {
  const Bytes block(kBlockBytes);
  for (;;) PYRSIA_CO_TRY(co_await stream.write_all(block));
}

Task<> begin_run(Stream& stream) {
  const Bytes nothing(8, 0);
  co_return co_await stream.write_all(nothing);
}

Task<> order(Stream& stream, Bytes bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<std::size_t> read_once(Stream& stream) {
  Bytes bytes(100);
  co_return co_await stream.read_some(bytes);
}

TEST_F(PerfServer, AnUploadWithoutEndIsEndedByTheTimeLimit) {
  const auto stream = open();
  const auto begin = world.now();
  auto [written] = world.run(write_for_ever(*stream));
  EXPECT_EQ(written.error(), Errc::reset);
  EXPECT_LE(world.now() - begin, 10s + 100ms);
  EXPECT_EQ(server.metrics().failed.value(), 1u);
  EXPECT_GT(server.metrics().received_bytes.value(), 1'000'000u);
}

TEST_F(PerfServer, ADownloadThatNobodyReadsIsEndedByTheTimeLimit) {
  const auto stream = open();
  auto [ordered] = world.run(order(*stream, Bytes(8, 0xff)));
  EXPECT_TRUE(ordered);
  world.run_for(11s);
  EXPECT_EQ(server.metrics().failed.value(), 1u);
  EXPECT_GT(server.metrics().sent_bytes.value(), 0u);
  EXPECT_LT(server.metrics().sent_bytes.value(), 1'000'000u);  // What the window takes.
}

TEST_F(PerfServer, AnOrderThatIsCutShortIsRefused) {
  const auto stream = open();
  auto [ordered, read] = world.run(order(*stream, Bytes(7, 0)), read_once(*stream));
  EXPECT_EQ(read.error(), Errc::reset);
  EXPECT_EQ(server.metrics().failed.value(), 1u);
  EXPECT_EQ(server.metrics().sent_bytes.value(), 0u);
}

TEST_F(PerfServer, StreamsOverTheLimitOfOnePeerAreReset) {
  const auto one = open();
  const auto two = open();
  world.run(begin_run(*one), begin_run(*two));
  world.run_for(100ms);
  const auto three = open();
  auto [read] = world.run(read_once(*three));
  EXPECT_EQ(read.error(), Errc::reset);
  EXPECT_EQ(server.metrics().runs.value(), 2u);
}

}  // namespace
}  // namespace pyrsia::perf

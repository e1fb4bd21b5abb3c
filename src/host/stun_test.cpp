#include "nat/stun/stream_client.hpp"
#include "runtime/timeout.hpp"

#include <pyrsia/stun.hpp>

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

const Endpoint kAnyPort{IpAddress::v4_loopback(), 0};

Task<> ask_a_server(Runtime& runtime, StunAnswer& answer) {
  StunServerConfig config;
  config.udp = {kAnyPort};
  StunServer server(runtime, config);
  PYRSIA_CO_TRY(server.start(nullptr));
  const auto asked = co_await stun_query(runtime, server.udp_endpoints().front());
  if (asked) answer = *asked;
  (void)co_await server.stop();
  if (!asked) co_return asked.error();
  co_return ok;
}

TEST(StunQuery, TellsWhereTheQuestionCameFrom) {
  Runtime runtime;
  StunAnswer answer;
  EXPECT_TRUE(runtime.run(ask_a_server(runtime, answer)));
  EXPECT_EQ(answer.mapped.ip, IpAddress::v4_loopback());
  EXPECT_NE(answer.mapped.port, 0);
  EXPECT_FALSE(answer.other);
}

/// What a server over TCP alone has told, and counted.
struct OverTcp {
  StunAnswer answer;
  std::vector<Endpoint> udp;
  std::map<std::string, std::uint64_t> counters;
};

Task<> ask_over_tcp_alone(Runtime& runtime, OverTcp& told) {
  StunServerConfig config;
  config.tcp = {kAnyPort};
  StunServer server(runtime, config);
  PYRSIA_CO_TRY(server.start(nullptr));
  told.udp = server.udp_endpoints();
  const auto asked =
      co_await stun::ask_over_tcp(runtime.env(), server.tcp_endpoints().front(), nullptr);
  if (asked) told.answer.mapped = asked->mapped;
  told.counters = server.counters();
  (void)co_await server.stop();
  if (!asked) co_return asked.error();
  co_return ok;
}

TEST(StunServerOfTheApi, AnswersOverTcpWithoutUdp) {
  Runtime runtime;
  OverTcp told;
  const auto asked = runtime.run(ask_over_tcp_alone(runtime, told));
  ASSERT_TRUE(asked) << asked.error();
  EXPECT_EQ(told.answer.mapped.ip, IpAddress::v4_loopback());
  EXPECT_NE(told.answer.mapped.port, 0);
  EXPECT_TRUE(told.udp.empty());
  EXPECT_EQ(told.counters.at("pyrsia_stun_answered_total"), 1U);
  EXPECT_EQ(told.counters.at("pyrsia_stun_connections_total"), 1U);
}

Task<> start_twice(Runtime& runtime, std::string& detail, Result<>& second) {
  StunServerConfig config;
  config.tcp = {kAnyPort};
  StunServer first(runtime, config);
  PYRSIA_CO_TRY(first.start(nullptr));
  config.tcp = first.tcp_endpoints();
  StunServer other(runtime, config);
  second = other.start(&detail);
  (void)co_await first.stop();
  co_return ok;
}

TEST(StunServerOfTheApi, SaysWhichTcpPortIsInUse) {
  Runtime runtime;
  std::string detail;
  Result<> second = ok;
  EXPECT_TRUE(runtime.run(start_twice(runtime, detail, second)));
  EXPECT_EQ(second.error(), Errc::address_in_use);
  EXPECT_TRUE(detail.starts_with("TCP 127.0.0.1:")) << detail;
}

Task<> ask_nobody(Runtime& runtime, Duration patience, Result<StunAnswer>& answer) {
  PYRSIA_CO_TRY(const auto silent, runtime.env().udp_bind(kAnyPort));
  auto asking = stun_query(runtime, silent->local());
  answer = co_await with_timeout(runtime.env(), patience, std::move(asking));
  co_return ok;
}

TEST(StunQuery, MayBeCancelledAtAnyTime) {
  for (const auto patience : {0ms, 1ms, 120ms}) {
    Runtime runtime;
    Result<StunAnswer> answer = Errc::not_found;
    EXPECT_TRUE(runtime.run(ask_nobody(runtime, patience, answer)));
    EXPECT_EQ(answer.error(), Errc::timed_out);
  }
}

}  // namespace
}  // namespace pyrsia

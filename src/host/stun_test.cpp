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

#include "runtime/real_env.hpp"
#include "swarm/swarm.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

Task<> exchange(TestNode& a, TestNode& b, std::string& answer, bool& is_port_shared) {
  const auto at_b = b.listen("/ip4/127.0.0.1/tcp/0");
  a.listen("/ip4/127.0.0.1/tcp/0");
  DialRequest request{.peer = b.peer(), .addresses = {}};
  request.addresses.push_back(at_b);
  const auto connected = co_await a.swarm.connect(std::move(request));
  if (connected) {
    is_port_shared = connected->is_port_shared;
    auto answered = co_await ask(a, b.peer(), std::string(1000, 'x'));
    if (answered) answer = *std::move(answered);
  }
  PYRSIA_CO_TRY(co_await a.swarm.stop());
  co_return co_await b.swarm.stop();
}

TEST(SwarmOnTheKernel, TwoNodesTalkOverLoopback) {
  const auto env = make_real_env(RealEnvConfig());
  TestNode a(*env, 1);
  TestNode b(*env, 2);
  std::string answer;
  bool is_port_shared = false;
  const auto ended = run(*env, exchange(a, b, answer, is_port_shared), nullptr);
  EXPECT_TRUE(ended);
  EXPECT_EQ(answer, std::string(1000, 'x'));
  EXPECT_TRUE(is_port_shared);
}

}  // namespace
}  // namespace pyrsia::swarm

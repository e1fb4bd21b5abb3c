#include "crypto/test_web_authority.hpp"
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

/// Over a secure WebSocket that the plain listener's port takes.
Task<> exchange_over_wss(TestNode& a, TestNode& b, std::string& answer, std::string& remote) {
  const auto plain = b.listen("/ip4/127.0.0.1/tcp/0");
  const auto secure = b.listen(plain.to_string() + "/tls/ws");
  DialRequest request{.peer = b.peer(), .addresses = {}};
  request.addresses.push_back(secure);
  const auto connected = co_await a.swarm.connect(std::move(request));
  if (connected) {
    remote = connected->remote.to_string();
    auto answered = co_await ask(a, b.peer(), std::string(100'000, 'x'));
    if (answered) answer = *std::move(answered);
  }
  PYRSIA_CO_TRY(co_await a.swarm.stop());
  co_return co_await b.swarm.stop();
}

TEST(SwarmOnTheKernel, TwoNodesTalkOverASecureWebSocket) {
  const auto env = make_real_env(RealEnvConfig());
  const crypto::TestWebAuthority authority(env->wall_now());
  const auto files = authority.issue({"IP:127.0.0.1", env->wall_now()});
  TestNode a(*env, 1);
  TestNode b(*env, 2);
  const crypto::WebTrust trust{false, authority.root()};
  EXPECT_TRUE(a.tcp->set_trust(trust, nullptr));
  b.tcp->set_certificate(crypto::make_web_server(files.chain, files.key, nullptr).value());
  std::string answer;
  std::string remote;
  const auto ended = run(*env, exchange_over_wss(a, b, answer, remote), nullptr);
  EXPECT_TRUE(ended);
  EXPECT_EQ(answer.size(), 100'000U);
  EXPECT_TRUE(remote.ends_with("/tls/ws")) << remote;
}

}  // namespace
}  // namespace pyrsia::swarm

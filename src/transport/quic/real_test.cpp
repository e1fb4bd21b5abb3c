/// QUIC over sockets of the kernel, on loopback.
#include "runtime/real_env.hpp"
#include "transport/quic/test_peers.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBytes = 8 << 20;

Task<> serve(Env& env, Listener& listener) {
  PYRSIA_CO_TRY(auto accepted, co_await accept_one(listener));
  End end(env, std::move(accepted));
  const auto echoed = co_await echo_next(end);
  if (echoed) PYRSIA_CO_TRY(co_await end.wait_for_end());
  PYRSIA_CO_TRY(co_await end.finish());
  co_return echoed;
}

Task<> ask(Env& env, Transport& from, Multiaddr remote) {
  const auto expected = test_key(2).peer_id();
  PYRSIA_CO_TRY(auto dialed, co_await from.dial(remote, expected, DialOptions()));
  End end(env, std::move(dialed));
  PYRSIA_CO_TRY(auto stream, co_await end.connection.muxer->open_stream());
  TaskGroup writing(env);
  writing.spawn(write_numbers(*stream, kBytes));
  const auto read = co_await read_numbers(*stream);
  PYRSIA_CO_TRY(co_await writing.join());
  EXPECT_TRUE(read) << read.error();
  EXPECT_EQ(read.value(), kBytes);
  stream.reset();
  co_return co_await end.finish();
}

Task<> talk(Env& env, std::string listen) {
  Transport a(env, test_key(1), Config());
  Transport b(env, test_key(2), Config());
  const auto wanted = address(listen);
  PYRSIA_CO_TRY(auto listener, b.listen(wanted));
  const auto remote = listener->address().with_ip(wanted.ip()->is_v6() ? *IpAddress::parse("::1")
                                                                       : IpAddress::v4_loopback());
  TaskGroup serving(env);
  serving.spawn(serve(env, *listener));
  const auto asked = co_await ask(env, a, remote);
  if (!asked) serving.cancel();
  PYRSIA_CO_TRY(co_await serving.join());
  listener.reset();
  PYRSIA_CO_TRY(co_await a.stop());
  PYRSIA_CO_TRY(co_await b.stop());
  co_return asked;
}

class QuicReal : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Listeners, QuicReal,
                         testing::Values("/ip4/127.0.0.1/udp/0/quic-v1",
                                         "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"));

TEST_P(QuicReal, EchoesOverLoopback) {
  const auto env = make_real_env(RealEnvConfig());
  const auto end = run(*env, with_timeout(*env, Duration(60s), talk(*env, GetParam())), nullptr);
  EXPECT_TRUE(end) << end.error();
}

}  // namespace
}  // namespace pyrsia::transport::quic

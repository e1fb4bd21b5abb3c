#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

/// Two hosts on the internet, 50 ms apart.
struct Pair {
  explicit Pair(std::uint64_t seed = 1) : world(seed) {
    PathConfig path;
    path.one_way_delay = 50ms;
    net.set_default_path(path);
  }

  Endpoint at_b(std::uint16_t port) const { return {b.addresses().front(), port}; }
  std::unique_ptr<TcpListener> listen(std::uint16_t port) {
    return b.tcp_listen(at_b(port), TcpListenOptions{}).value();
  }

  World world;
  Network net{world};
  SimHost& a = net.add_host({"a", {"1.2.3.4", "2001:db8::1"}, nullptr, 0ms});
  SimHost& b = net.add_host({"b", {"5.6.7.8", "2001:db8::2"}, nullptr, 0ms});
};

struct Times {
  TimePoint connected;
  TimePoint accepted;
  TimePoint received;
};

Task<std::unique_ptr<TcpSocket>> dial(Env& env, Endpoint remote) {
  const TcpConnectOptions options;
  co_return co_await env.tcp_connect(remote, options);
}

Task<> ask(Env& env, Endpoint remote, Times& times) {
  PYRSIA_CO_TRY(const auto socket, co_await dial(env, remote));
  times.connected = env.now();
  PYRSIA_CO_TRY(co_await socket->write_all(as_bytes("ping")));
  std::array<std::uint8_t, 4> answer;
  PYRSIA_CO_TRY(co_await read_exactly(*socket, answer));
  times.received = env.now();
  EXPECT_EQ(as_text(answer), "pong");
  PYRSIA_CO_TRY(co_await socket->close_write());
  PYRSIA_CO_TRY(const auto end, co_await socket->read_some(answer));
  EXPECT_EQ(end, 0U);
  co_return ok;
}

Task<> answer(Env& env, TcpListener& listener, Times& times) {
  PYRSIA_CO_TRY(const auto socket, co_await listener.accept());
  times.accepted = env.now();
  std::array<std::uint8_t, 4> question;
  PYRSIA_CO_TRY(co_await read_exactly(*socket, question));
  EXPECT_EQ(as_text(question), "ping");
  PYRSIA_CO_TRY(co_await socket->write_all(as_bytes("pong")));
  PYRSIA_CO_TRY(const auto end, co_await socket->read_some(question));
  EXPECT_EQ(end, 0U);
  co_return co_await socket->close_write();
}

TEST(Tcp, AnExchangeTakesExactlyItsRoundTrips) {
  Pair pair;
  const auto listener = pair.listen(80);
  Times times;
  auto [asked, answered] =
      pair.world.run(ask(pair.a, pair.at_b(80), times), answer(pair.b, *listener, times));
  EXPECT_TRUE(asked);
  EXPECT_TRUE(answered);
  EXPECT_EQ(times.connected, TimePoint(100ms));
  EXPECT_EQ(times.accepted, TimePoint(150ms));
  EXPECT_EQ(times.received, TimePoint(200ms));
  EXPECT_EQ(pair.world.now(), TimePoint(300ms));
  pair.world.run_for(1s);
  EXPECT_EQ(pair.a.connection_count(), 0U);
  EXPECT_EQ(pair.b.connection_count(), 0U);
}

TEST(Tcp, AClosedPortRefusesAfterOneRoundTrip) {
  Pair pair;
  auto [socket] = pair.world.run(dial(pair.a, pair.at_b(81)));
  EXPECT_EQ(socket.error(), Errc::refused);
  EXPECT_EQ(pair.world.now(), TimePoint(100ms));
}

TEST(Tcp, SilenceTimesOutAsInTheKernel) {
  Pair pair;
  pair.b.crash();
  auto [socket] = pair.world.run(dial(pair.a, pair.at_b(81)));
  EXPECT_EQ(socket.error(), Errc::timed_out);
  EXPECT_EQ(pair.world.now(), TimePoint(127s));
}

}  // namespace
}  // namespace pyrsia::sim

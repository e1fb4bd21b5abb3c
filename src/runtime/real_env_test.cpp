#include "runtime/real_env.hpp"

#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <ctime>
#include <thread>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

/// Nothing here may take this long.
constexpr Duration kLimit = 20s;
const Endpoint kAnyPort{IpAddress::v4_loopback(), 0};

struct Pair {
  std::unique_ptr<TcpSocket> client;
  std::unique_ptr<TcpSocket> server;
};

Task<Pair> make_pair(Env& env, Endpoint local) {
  const TcpListenOptions listen_options;
  PYRSIA_CO_TRY(auto listener, env.tcp_listen(local, listen_options));
  const TcpConnectOptions options;
  Pair pair;
  PYRSIA_CO_TRY(pair.client, co_await env.tcp_connect(listener->local(), options));
  PYRSIA_CO_TRY(pair.server, co_await listener->accept());
  co_return pair;
}

Task<std::string> read_text(Stream& stream, std::size_t size) {
  std::string text(size, '\0');
  const std::span out(reinterpret_cast<std::uint8_t*>(text.data()), size);
  PYRSIA_CO_TRY(co_await read_exactly(stream, out));
  co_return text;
}

Task<std::size_t> read_to_end(Stream& stream) {
  Bytes buffer(65536);
  std::size_t total = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(buffer));
    if (count == 0) co_return total;
    total += count;
  }
}

class RealEnv : public testing::Test {
 protected:
  Result<> run_main(Task<> main) {
    return run(*env_, with_timeout(*env_, kLimit, std::move(main)), nullptr);
  }
  Env& env() { return *env_; }

 private:
  std::unique_ptr<Env> env_ = make_real_env({});
};

Task<> echo_both_ways(Env& env, Endpoint local) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, local));
  EXPECT_EQ(pair.client->local(), pair.server->remote());
  EXPECT_EQ(pair.client->remote(), pair.server->local());
  PYRSIA_CO_TRY(co_await pair.client->write_all(as_bytes("ping")));
  PYRSIA_CO_TRY(const auto there, co_await read_text(*pair.server, 4));
  EXPECT_EQ(there, "ping");
  PYRSIA_CO_TRY(co_await pair.server->write_all(as_bytes("pong")));
  PYRSIA_CO_TRY(const auto back, co_await read_text(*pair.client, 4));
  EXPECT_EQ(back, "pong");
  co_return ok;
}

TEST_F(RealEnv, BytesGoBothWays) {
  EXPECT_TRUE(run_main(echo_both_ways(env(), kAnyPort)));
}

TEST_F(RealEnv, Ipv6WorksLikeIpv4) {
  std::array<std::uint8_t, 16> loopback{};
  loopback[15] = 1;
  const Endpoint local{IpAddress::v6(loopback), 0};
  const TcpListenOptions options;
  if (!env().tcp_listen(local, options)) GTEST_SKIP() << "no IPv6 on this machine";
  EXPECT_TRUE(run_main(echo_both_ways(env(), local)));
}

Task<> half_close(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  PYRSIA_CO_TRY(co_await pair.client->write_all(as_bytes("last words")));
  PYRSIA_CO_TRY(co_await pair.client->close_write());
  const auto refused = co_await pair.client->write_all(as_bytes("x"));
  EXPECT_EQ(refused.error(), Errc::closed);
  PYRSIA_CO_TRY(const auto total, co_await read_to_end(*pair.server));
  EXPECT_EQ(total, 10U);
  PYRSIA_CO_TRY(co_await pair.server->write_all(as_bytes("answer")));
  PYRSIA_CO_TRY(co_await pair.server->close_write());
  PYRSIA_CO_TRY(const auto back, co_await read_to_end(*pair.client));
  EXPECT_EQ(back, 6U);
  co_return ok;
}

TEST_F(RealEnv, AfterHalfCloseTheOtherWayGoesOn) {
  EXPECT_TRUE(run_main(half_close(env())));
}

Task<> reset_is_seen(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  pair.client->reset();
  std::array<std::uint8_t, 8> buffer{};
  const auto here = co_await pair.client->read_some(buffer);
  EXPECT_EQ(here.error(), Errc::closed);
  const auto there = co_await pair.server->read_some(buffer);
  EXPECT_EQ(there.error(), Errc::reset);
  const auto ready = co_await pair.server->wait_readable();
  EXPECT_TRUE(ready);
  const auto written = co_await pair.server->write_all(as_bytes("x"));
  EXPECT_EQ(written.error(), Errc::closed);
  co_return ok;
}

TEST_F(RealEnv, AResetIsSeenAtBothEnds) {
  EXPECT_TRUE(run_main(reset_is_seen(env())));
}

Task<> reads_until_closed(Stream& stream, Error& error) {
  std::array<std::uint8_t, 8> buffer{};
  const auto read = co_await stream.read_some(buffer);
  error = read ? Error() : read.error();
  co_return ok;
}

Task<> reset_ends_a_pending_read(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  Error error;
  TaskGroup tasks(env);
  tasks.spawn(reads_until_closed(*pair.client, error));
  PYRSIA_CO_TRY(co_await env.sleep_for(1ms));
  pair.client->reset();
  PYRSIA_CO_TRY(co_await tasks.join());
  EXPECT_EQ(error, Errc::closed);
  co_return ok;
}

TEST_F(RealEnv, AResetEndsAPendingRead) {
  EXPECT_TRUE(run_main(reset_ends_a_pending_read(env())));
}

Task<> refused_dial(Env& env) {
  const TcpListenOptions listen_options;
  PYRSIA_CO_TRY(auto listener, env.tcp_listen(kAnyPort, listen_options));
  const auto gone = listener->local();
  listener.reset();
  const TcpConnectOptions options;
  const auto dialed = co_await env.tcp_connect(gone, options);
  EXPECT_EQ(dialed.error(), Errc::refused);
  co_return ok;
}

TEST_F(RealEnv, ADialToAClosedPortIsRefused) {
  EXPECT_TRUE(run_main(refused_dial(env())));
}

TEST_F(RealEnv, ATakenPortOrAForeignAddressIsNamedAsSuch) {
  TcpListenOptions options;
  options.is_port_shared = false;
  const auto first = env().tcp_listen(kAnyPort, options);
  ASSERT_TRUE(first);
  EXPECT_EQ(env().tcp_listen((*first)->local(), options).error(), Errc::address_in_use);
  const Endpoint foreign{IpAddress::v4({192, 0, 2, 1}), 0};
  EXPECT_EQ(env().tcp_listen(foreign, options).error(), Errc::invalid_argument);
  EXPECT_EQ(env().udp_bind(foreign).error(), Errc::invalid_argument);
}

// Else two nodes on one port would each get half of the connections.
TEST_F(RealEnv, APortSharedWithDialsIsNotSharedWithASecondListener) {
  const TcpListenOptions shared;
  const auto first = env().tcp_listen(kAnyPort, shared);
  ASSERT_TRUE(first);
  EXPECT_EQ(env().tcp_listen((*first)->local(), shared).error(), Errc::address_in_use);
}

Task<> dial_from_the_listening_port(Env& env) {
  const TcpListenOptions listen_options;
  PYRSIA_CO_TRY(auto ours, env.tcp_listen(kAnyPort, listen_options));
  PYRSIA_CO_TRY(auto theirs, env.tcp_listen(kAnyPort, listen_options));
  TcpConnectOptions options;
  const Endpoint port_only{IpAddress::v4_any(), ours->local().port};
  options.local = port_only;
  PYRSIA_CO_TRY(auto socket, co_await env.tcp_connect(theirs->local(), options));
  EXPECT_EQ(socket->local().port, ours->local().port);
  PYRSIA_CO_TRY(auto accepted, co_await theirs->accept());
  EXPECT_EQ(accepted->remote(), ours->local());
  const auto again = co_await env.tcp_connect(theirs->local(), options);
  EXPECT_EQ(again.error(), Errc::address_in_use);
  co_return ok;
}

TEST_F(RealEnv, ADialMayUseTheListeningPortOncePerRemote) {
  EXPECT_TRUE(run_main(dial_from_the_listening_port(env())));
}

Task<> accepts(TcpListener& listener, Error& error) {
  const auto accepted = co_await listener.accept();
  error = accepted ? Error() : accepted.error();
  co_return ok;
}

Task<> close_ends_accept(Env& env) {
  const TcpListenOptions options;
  PYRSIA_CO_TRY(auto listener, env.tcp_listen(kAnyPort, options));
  Error error;
  TaskGroup tasks(env);
  tasks.spawn(accepts(*listener, error));
  PYRSIA_CO_TRY(co_await env.sleep_for(1ms));
  listener->close();
  PYRSIA_CO_TRY(co_await tasks.join());
  EXPECT_EQ(error, Errc::closed);
  const auto later = co_await listener->accept();
  EXPECT_EQ(later.error(), Errc::closed);
  co_return ok;
}

TEST_F(RealEnv, CloseEndsAPendingAccept) {
  EXPECT_TRUE(run_main(close_ends_accept(env())));
}

/// Lowers the limit of file descriptors while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    now.rlim_cur = limit;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

Task<> accept_without_descriptors(Env& env) {
  const TcpListenOptions listen_options;
  PYRSIA_CO_TRY(auto listener, env.tcp_listen(kAnyPort, listen_options));
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(auto client, co_await env.tcp_connect(listener->local(), options));
  {
    const FewDescriptors few(3);
    const auto accepted = co_await listener->accept();
    EXPECT_EQ(accepted.error(), Errc::limit_reached);
    const auto dialed = co_await env.tcp_connect(listener->local(), options);
    EXPECT_EQ(dialed.error(), Errc::limit_reached);
  }
  const auto accepted = co_await listener->accept();
  EXPECT_TRUE(accepted);
  co_return ok;
}

TEST_F(RealEnv, WithoutFileDescriptorsAcceptFailsAndGoesOnLater) {
  EXPECT_TRUE(run_main(accept_without_descriptors(env())));
}

Task<> cancelled_read_keeps_bytes(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  std::array<std::uint8_t, 8> buffer{};
  const auto late = co_await with_timeout(env, 2ms, pair.server->read_some(buffer));
  EXPECT_EQ(late.error(), Errc::timed_out);
  const auto waited = co_await with_timeout(env, 2ms, pair.server->wait_readable());
  EXPECT_EQ(waited.error(), Errc::timed_out);
  PYRSIA_CO_TRY(co_await pair.client->write_all(as_bytes("kept")));
  PYRSIA_CO_TRY(co_await pair.server->wait_readable());
  PYRSIA_CO_TRY(const auto text, co_await read_text(*pair.server, 4));
  EXPECT_EQ(text, "kept");
  co_return ok;
}

TEST_F(RealEnv, ACancelledReadLosesNothing) {
  EXPECT_TRUE(run_main(cancelled_read_keeps_bytes(env())));
}

Task<> sends(TcpSocket& socket, std::span<const BytesView> parts) {
  PYRSIA_CO_TRY(co_await socket.write_all_parts(parts));
  co_return co_await socket.close_write();
}

Task<> big_write(Env& env, std::size_t part_bytes, std::size_t part_count) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  const Bytes bytes(part_bytes, 7);
  const std::vector<BytesView> parts(part_count, bytes);
  TaskGroup tasks(env);
  tasks.spawn(sends(*pair.client, parts));
  PYRSIA_CO_TRY(co_await env.sleep_for(5ms));
  EXPECT_EQ(tasks.size(), 1U) << "the kernel took everything: no back-pressure was tried";
  const auto total = co_await read_to_end(*pair.server);
  EXPECT_EQ(total.value(), part_bytes * part_count);
  co_return co_await tasks.join();
}

TEST_F(RealEnv, AWriteWaitsForASlowReader) {
  EXPECT_TRUE(run_main(big_write(env(), 64 << 20, 1)));
}

TEST_F(RealEnv, ManyPartsArriveWhole) {
  EXPECT_TRUE(run_main(big_write(env(), 1 << 20, 50)));
}

Task<> small_parts(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  const std::array<BytesView, 4> parts = {as_bytes("a"), BytesView(), as_bytes("bc"),
                                          as_bytes("def")};
  PYRSIA_CO_TRY(co_await pair.client->write_all_parts(parts));
  std::array<std::uint8_t, 16> buffer{};
  PYRSIA_CO_TRY(const auto count, co_await pair.server->read_some(buffer));
  EXPECT_EQ(as_text(std::span(buffer).first(count)), "abcdef");
  co_return ok;
}

TEST_F(RealEnv, PartsAreOneWrite) {
  EXPECT_TRUE(run_main(small_parts(env())));
}

Task<> datagrams(Env& env) {
  PYRSIA_CO_TRY(auto one, env.udp_bind(kAnyPort));
  PYRSIA_CO_TRY(auto two, env.udp_bind(kAnyPort));
  PYRSIA_CO_TRY(one->send(two->local(), as_bytes("datagram")));
  std::array<std::uint8_t, 4> small{};
  PYRSIA_CO_TRY(const auto got, co_await two->receive(small));
  EXPECT_EQ(got.from, one->local());
  EXPECT_EQ(got.size, 8U);
  EXPECT_EQ(as_text(small), "data");
  const Bytes huge(70'000);
  EXPECT_EQ(one->send(two->local(), huge).error(), Errc::too_large);
  const auto none = co_await with_timeout(env, 1ms, two->receive(small));
  EXPECT_EQ(none.error(), Errc::timed_out);
  co_return ok;
}

TEST_F(RealEnv, DatagramsCarryTheirSizeAndSender) {
  EXPECT_TRUE(run_main(datagrams(env())));
}

Task<> sleeps(Env& env, Duration duration, std::vector<Duration>& woken) {
  PYRSIA_CO_TRY(co_await env.sleep_for(duration));
  woken.push_back(duration);
  co_return ok;
}

Task<> ordered_timers(Env& env, std::vector<Duration>& woken) {
  TaskGroup tasks(env);
  const auto start = env.now();
  tasks.spawn(sleeps(env, 30ms, woken));
  tasks.spawn(sleeps(env, 10ms, woken));
  tasks.spawn(sleeps(env, 20ms, woken));
  PYRSIA_CO_TRY(co_await tasks.join());
  EXPECT_GE(env.now() - start, 30ms);
  co_return ok;
}

TEST_F(RealEnv, TimersFireInOrder) {
  std::vector<Duration> woken;
  EXPECT_TRUE(run_main(ordered_timers(env(), woken)));
  EXPECT_EQ(woken, (std::vector<Duration>{10ms, 20ms, 30ms}));
}

Task<> ten_thousand_timers(Env& env, std::vector<Duration>& woken) {
  TaskGroup tasks(env);
  for (int i = 0; i < 10'000; ++i) tasks.spawn(sleeps(env, i * 1us, woken));
  co_return co_await tasks.join();
}

TEST_F(RealEnv, TenThousandTimersFire) {
  std::vector<Duration> woken;
  EXPECT_TRUE(run_main(ten_thousand_timers(env(), woken)));
  EXPECT_EQ(woken.size(), 10'000U);
}

Task<> endless_talk(Stream& stream) {
  const Bytes bytes(16);
  Bytes buffer(16);
  for (;;) {
    PYRSIA_CO_TRY(co_await stream.write_all(bytes));
    PYRSIA_CO_TRY(co_await stream.read_some(buffer));
  }
}

Task<> timer_beside_busy_sockets(Env& env) {
  PYRSIA_CO_TRY(auto pair, co_await make_pair(env, kAnyPort));
  TaskGroup tasks(env);
  tasks.spawn(endless_talk(*pair.client));
  tasks.spawn(endless_talk(*pair.server));
  const auto slept = co_await env.sleep_for(20ms);
  EXPECT_TRUE(slept);
  tasks.cancel();
  co_return co_await tasks.join();
}

TEST_F(RealEnv, BusySocketsDoNotStarveTimers) {
  EXPECT_TRUE(run_main(timer_beside_busy_sockets(env())));
}

Task<> off_the_thread(Env& env, bool& is_other_thread) {
  const auto here = std::this_thread::get_id();
  const std::function<void()> work = [here, &is_other_thread] {
    is_other_thread = std::this_thread::get_id() != here;
  };
  for (int i = 0; i < 20; ++i) PYRSIA_CO_TRY(co_await env.run_blocking(work));
  EXPECT_EQ(std::this_thread::get_id(), here);
  co_return ok;
}

TEST_F(RealEnv, BlockingWorkRunsOnAnotherThread) {
  bool is_other_thread = false;
  EXPECT_TRUE(run_main(off_the_thread(env(), is_other_thread)));
  EXPECT_TRUE(is_other_thread);
}

Task<> raises_and_waits(Event& caught) {
  ::raise(SIGTERM);
  PYRSIA_CO_TRY(co_await caught.wait());
  ::raise(SIGINT);
  co_return co_await caught.wait();
}

TEST_F(RealEnv, SignalsReachTheProgram) {
  Event caught(env().executor());
  std::vector<int> signals;
  const auto on_signal = [&](int signal) {
    signals.push_back(signal);
    caught.notify();
  };
  EXPECT_TRUE(run(env(), with_timeout(env(), kLimit, raises_and_waits(caught)), on_signal));
  EXPECT_EQ(signals, (std::vector<int>{SIGTERM, SIGINT}));
}

TEST_F(RealEnv, WhatItHasSleptIsWhatOneClockIsAheadOfTheOther) {
  const auto read = [](clockid_t clock) {
    timespec time{};
    EXPECT_EQ(::clock_gettime(clock, &time), 0);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
  };
  const auto awake = read(CLOCK_MONOTONIC);
  const auto slept = env().slept();
  EXPECT_GE(slept, Duration(0));
  EXPECT_LE(slept, read(CLOCK_BOOTTIME) - awake);
}

TEST_F(RealEnv, KnowsTheLoopbackInterface) {
  const auto all = env().interface_addresses();
  const auto is_loopback = [](const InterfaceAddress& a) {
    return a.ip == IpAddress::v4_loopback() && a.prefix_bits == 8;
  };
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), is_loopback));
}

TEST_F(RealEnv, RandomBytesDiffer) {
  std::array<std::uint8_t, 16> small_one{}, small_two{};
  std::array<std::uint8_t, 500> large_one{}, large_two{};
  env().random(small_one);
  env().random(small_two);
  env().random(large_one);
  env().random(large_two);
  EXPECT_NE(small_one, small_two);
  EXPECT_NE(large_one, large_two);
}

}  // namespace
}  // namespace pyrsia

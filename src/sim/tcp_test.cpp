#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

using Socket = std::unique_ptr<TcpSocket>;

struct Times {
  TimePoint connected;
  TimePoint accepted;
  TimePoint received;
};

/// Both ends of a connection from a to port 80 of b.
struct Connected : TwoHosts {
  explicit Connected(std::uint64_t seed = 1) : TwoHosts(seed) { connect(); }

  void connect() {
    auto [dialed, accepted] = world.run(dial(a, at("5.6.7.8", 80)), listener->accept());
    client = std::move(dialed).value();
    server = std::move(accepted).value();
  }

  Socket client;
  Socket server;
};

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

Task<std::string> read_text(Stream& stream) {
  std::array<std::uint8_t, 1000> bytes;
  PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
  co_return std::string(as_text(std::span(bytes).first(count)));
}

Task<> write(Stream& stream, std::string text) {
  co_return co_await stream.write_all(as_bytes(text));
}

Task<> close_write(Stream& stream) {
  co_return co_await stream.close_write();
}

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = std::uint8_t(i * 7 + i / 251);
  return bytes;
}

Task<> write_all_and_close(Stream& stream, Bytes bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<Bytes> read_to_end(Stream& stream) {
  Bytes all;
  std::array<std::uint8_t, 5000> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return all;
    all.insert(all.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(count));
  }
}

TEST(SimTcp, AnExchangeTakesExactlyItsRoundTrips) {
  TwoHosts hosts;
  Times times;
  auto [asked, answered] = hosts.world.run(ask(hosts.a, at("5.6.7.8", 80), times),
                                           answer(hosts.b, *hosts.listener, times));
  EXPECT_TRUE(asked);
  EXPECT_TRUE(answered);
  EXPECT_EQ(times.connected, TimePoint(100ms));
  EXPECT_EQ(times.accepted, TimePoint(150ms));
  EXPECT_EQ(times.received, TimePoint(200ms));
  EXPECT_EQ(hosts.world.now(), TimePoint(300ms));
  hosts.world.run_for(1s);
  EXPECT_EQ(hosts.a.connection_count(), 0U);
  EXPECT_EQ(hosts.b.connection_count(), 0U);
}

TEST(SimTcp, AClosedPortRefusesAfterOneRoundTrip) {
  TwoHosts hosts;
  auto [socket] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 81)));
  EXPECT_EQ(socket.error(), Errc::refused);
  EXPECT_EQ(hosts.world.now(), TimePoint(100ms));
}

TEST(SimTcp, SilenceTimesOutAsInTheKernel) {
  TwoHosts hosts;
  hosts.b.crash();
  auto [socket] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 81)));
  EXPECT_EQ(socket.error(), Errc::timed_out);
  EXPECT_EQ(hosts.world.now(), TimePoint(127s));
  EXPECT_EQ(hosts.a.connection_count(), 0U);
}

TEST(SimTcp, AnAbandonedDialLeavesNothing) {
  TwoHosts hosts;
  hosts.b.crash();
  auto [socket] = hosts.world.run(with_timeout(hosts.a, 5s, dial(hosts.a, at("5.6.7.8", 80))));
  EXPECT_EQ(socket.error(), Errc::timed_out);
  EXPECT_EQ(hosts.world.now(), TimePoint(5s));
  EXPECT_EQ(hosts.a.connection_count(), 0U);
}

TEST(SimTcp, WithoutAnAddressOfItsFamilyARemoteIsUnreachable) {
  TwoHosts hosts;
  auto& v4_only = hosts.net.add_host({"c", {"9.9.9.9"}});
  auto [socket] = hosts.world.run(dial(v4_only, at("2001:db8::2", 80)));
  EXPECT_EQ(socket.error(), Errc::unreachable);
  EXPECT_EQ(hosts.world.now(), TimePoint(0ms));
}

TEST(SimTcp, WhatOneSideHasClosedTheOtherMayStillAnswer) {
  Connected hosts;
  hosts.world.run(write(*hosts.client, "ping"), close_write(*hosts.client));
  auto [question] = hosts.world.run(read_to_end(*hosts.server));
  EXPECT_EQ(as_text(*question), "ping");
  auto [late] = hosts.world.run(write(*hosts.client, "more"));
  EXPECT_EQ(late.error(), Errc::closed);
  hosts.world.run(write_all_and_close(*hosts.server, pattern(10'000)));
  auto [answer] = hosts.world.run(read_to_end(*hosts.client));
  EXPECT_EQ(*answer, pattern(10'000));
  // Both ends have closed: destroying the sockets resets nothing, and the stacks forget.
  hosts.client.reset();
  hosts.server.reset();
  hosts.world.run_for(1s);
  EXPECT_EQ(hosts.a.connection_count() + hosts.b.connection_count(), 0U);
}

TEST(SimTcp, TheLastBytesArriveThoughBothSocketsAreGone) {
  Connected hosts;
  hosts.world.run(close_write(*hosts.client));
  auto [end] = hosts.world.run(read_to_end(*hosts.server));
  EXPECT_TRUE(end);
  hosts.world.run(write_all_and_close(*hosts.server, pattern(100'000)));
  hosts.server.reset();
  auto [answer] = hosts.world.run(read_to_end(*hosts.client));
  EXPECT_EQ(answer->size(), 100'000U);
}

TEST(SimTcp, AResetComesAfterOneWayAndAfterWhatArrivedBefore) {
  Connected hosts;
  const auto start = hosts.world.now();
  hosts.world.run(write(*hosts.client, "last words"));
  hosts.client->reset();
  auto [own] = hosts.world.run(read_text(*hosts.client));
  EXPECT_EQ(own.error(), Errc::closed);
  auto [words] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(*words, "last words");
  auto [then] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(then.error(), Errc::reset);
  EXPECT_EQ(hosts.world.now() - start, 50ms);
}

TEST(SimTcp, DestroyingAnOpenSocketResetsItAtThePeer) {
  Connected hosts;
  hosts.client.reset();
  auto [text] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(text.error(), Errc::reset);
  EXPECT_EQ(hosts.a.connection_count(), 0U);
}

TEST(SimTcp, AWriterWaitsForASlowReader) {
  Connected hosts;
  const auto bytes = pattern(3 * kTcpBufferBytes);
  auto [blocked] = hosts.world.run(with_timeout(hosts.a, 1s, hosts.client->write_all(bytes)));
  EXPECT_EQ(blocked.error(), Errc::timed_out);
  Bytes buffer(2 * kTcpBufferBytes);
  auto [count] = hosts.world.run(hosts.server->read_some(buffer));
  EXPECT_EQ(*count, kTcpBufferBytes);
  auto [again] = hosts.world.run(with_timeout(hosts.a, 1s, write(*hosts.client, "x")));
  EXPECT_TRUE(again);
}

TEST(SimTcp, ABlockedWriterGoesOnThoughTheNewsOfRoomWereLost) {
  Connected hosts;
  const auto bytes = pattern(kTcpBufferBytes + 1);
  TaskGroup tasks(hosts.a);
  tasks.spawn(hosts.client->write_all(bytes));
  hosts.world.run_for(1s);
  EXPECT_EQ(tasks.size(), 1U);
  hosts.net.partition({&hosts.a}, {&hosts.b});
  Bytes buffer(kTcpBufferBytes);
  hosts.world.run(hosts.server->read_some(buffer));
  hosts.world.run_for(10s);
  EXPECT_EQ(tasks.size(), 1U);
  hosts.net.heal();
  hosts.world.run_for(1min);
  EXPECT_EQ(tasks.size(), 0U);
}

TEST(SimTcp, WaitingToReadHoldsNoBytes) {
  Connected hosts;
  const auto start = hosts.world.now();
  auto [ready, written] =
      hosts.world.run(hosts.server->wait_readable(), write(*hosts.client, "hello"));
  EXPECT_TRUE(ready);
  EXPECT_EQ(hosts.world.now() - start, 50ms);
  auto [cancelled] = hosts.world.run(with_timeout(hosts.a, 1s, read_text(*hosts.client)));
  EXPECT_EQ(cancelled.error(), Errc::timed_out);
  auto [text] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(*text, "hello");
}

TEST(SimTcp, PartsAreOneWrite) {
  Connected hosts;
  const std::array<BytesView, 2> parts{as_bytes("one "), as_bytes("two")};
  hosts.world.run(hosts.client->write_all_parts(parts));
  auto [text] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(*text, "one two");
}

TEST(SimTcp, AReadMayBeLimitedToFindWrongAssumptions) {
  Connected hosts;
  hosts.net.set_max_read_bytes(1);
  hosts.world.run(write(*hosts.client, "two"));
  auto [text] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(*text, "t");
}

TEST(SimTcp, LossAndDisorderCostOnlyTime) {
  for (const auto seed : seeds(20)) {
    SCOPED_TRACE(seed_trace(seed));
    Connected hosts(seed);
    PathConfig path = delay_of(20ms);
    path.loss = 0.05;
    path.reorder = 0.1;
    path.jitter = 5ms;
    path.bytes_per_second = 10'000'000;
    hosts.net.set_path(hosts.a, hosts.b, path);
    const auto sent = pattern(500'000);
    auto [written, received, back, answer] =
        hosts.world.run(write_all_and_close(*hosts.client, sent), read_to_end(*hosts.server),
                        write_all_and_close(*hosts.server, sent), read_to_end(*hosts.client));
    EXPECT_TRUE(written);
    ASSERT_TRUE(received);
    EXPECT_TRUE(*received == sent);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(*answer == sent);
    EXPECT_GT(hosts.world.probe_count("tcp: retransmission"), 0U);
    EXPECT_GT(hosts.world.probe_count("tcp: out of order"), 0U);
    EXPECT_LT(hosts.world.now(), TimePoint(60s));
    hosts.client.reset();
    hosts.server.reset();
    hosts.world.run_for(1min);
    EXPECT_EQ(hosts.a.connection_count() + hosts.b.connection_count(), 0U);
  }
}

TEST(SimTcp, ALostSynIsSentAgainAfterASecond) {
  TwoHosts hosts;
  hosts.net.partition({&hosts.a}, {&hosts.b});
  TaskGroup tasks(hosts.a);
  Times times;
  tasks.spawn(ask(hosts.a, at("5.6.7.8", 80), times));
  hosts.world.run_for(500ms);
  hosts.net.heal();
  hosts.world.run(answer(hosts.b, *hosts.listener, times));
  EXPECT_EQ(times.connected, TimePoint(1100ms));
  hosts.world.run_for(1s);
  EXPECT_EQ(tasks.size(), 0U);
}

TEST(SimTcp, AConnectionSurvivesAPartitionOfMinutesButNotOfAnHour) {
  Connected hosts;
  hosts.net.partition({&hosts.a}, {&hosts.b});
  hosts.world.run(write(*hosts.client, "one"));
  hosts.world.run_for(5min);
  hosts.net.heal();
  auto [text] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(*text, "one");
  hosts.world.run_for(1min);
  hosts.net.partition({&hosts.a}, {&hosts.b});
  hosts.world.run(write(*hosts.client, "two"));
  hosts.world.run_for(1h);
  auto [after] = hosts.world.run(read_text(*hosts.client));
  EXPECT_EQ(after.error(), Errc::closed);
  EXPECT_EQ(hosts.world.probe_count("tcp: gave up"), 1U);
}

TEST(SimTcp, ManyDialsMayLeaveFromTheListeningPort) {
  TwoHosts hosts;
  const auto own = hosts.a.tcp_listen(at("0.0.0.0", 4001), TcpListenOptions{}).value();
  const auto other = hosts.b.tcp_listen(at("5.6.7.8", 81), TcpListenOptions{}).value();
  auto [first, second] =
      hosts.world.run(dial_from(hosts.a, at("0.0.0.0", 4001), at("5.6.7.8", 80)),
                      dial_from(hosts.a, at("1.2.3.4", 4001), at("5.6.7.8", 81)));
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ((*first)->local(), at("1.2.3.4", 4001));
  EXPECT_EQ((*second)->local(), at("1.2.3.4", 4001));
  auto [accepted] = hosts.world.run(hosts.listener->accept());
  EXPECT_EQ((*accepted)->remote(), at("1.2.3.4", 4001));
  EXPECT_EQ((*accepted)->local(), at("5.6.7.8", 80));
  auto [taken] = hosts.world.run(dial_from(hosts.a, at("1.2.3.4", 4001), at("5.6.7.8", 80)));
  EXPECT_EQ(taken.error(), Errc::address_in_use);
}

TEST(SimTcp, ADialCannotLeaveFromAPortThatIsNotShared) {
  TwoHosts hosts;
  TcpListenOptions alone;
  alone.is_port_shared = false;
  const auto own = hosts.a.tcp_listen(at("0.0.0.0", 4001), alone).value();
  auto [taken] = hosts.world.run(dial_from(hosts.a, at("0.0.0.0", 4001), at("5.6.7.8", 80)));
  EXPECT_EQ(taken.error(), Errc::address_in_use);
}

TEST(SimTcp, PortsAreListenedOnOnce) {
  TwoHosts hosts;
  const TcpListenOptions options;
  EXPECT_EQ(hosts.b.tcp_listen(at("5.6.7.8", 80), options).error(), Errc::address_in_use);
  EXPECT_EQ(hosts.b.tcp_listen(at("0.0.0.0", 80), options).error(), Errc::address_in_use);
  EXPECT_EQ(hosts.b.tcp_listen(at("9.9.9.9", 81), options).error(), Errc::invalid_argument);
  EXPECT_TRUE(hosts.b.tcp_listen(at("::", 80), options));
  const auto any = hosts.b.tcp_listen(at("0.0.0.0", 0), options).value();
  EXPECT_GE(any->local().port, 32768);
  hosts.listener.reset();
  EXPECT_TRUE(hosts.b.tcp_listen(at("5.6.7.8", 80), options));
}

TEST(SimTcp, ClosingAListenerEndsItsAcceptAndResetsWhatWaited) {
  TwoHosts hosts;
  auto [socket] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 80)));
  hosts.world.run_for(1s);
  hosts.listener->close();
  auto [accepted] = hosts.world.run(hosts.listener->accept());
  EXPECT_EQ(accepted.error(), Errc::closed);
  auto [text] = hosts.world.run(read_text(**socket));
  EXPECT_EQ(text.error(), Errc::reset);
}

TEST(SimTcp, AFullBacklogLetsDialsWait) {
  TwoHosts hosts;
  TcpListenOptions small;
  small.backlog = 1;
  const auto listener = hosts.b.tcp_listen(at("5.6.7.8", 81), small).value();
  auto [first] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 81)));
  hosts.world.run_for(1s);
  auto [second] = hosts.world.run(with_timeout(hosts.a, 500ms, dial(hosts.a, at("5.6.7.8", 81))));
  EXPECT_EQ(second.error(), Errc::timed_out);
  EXPECT_EQ(hosts.world.probe_count("tcp: backlog is full"), 1U);
}

TEST(SimTcp, TwoDialsThatMeetAreOneConnection) {
  TwoHosts hosts;
  auto [a, b] = hosts.world.run(dial_from(hosts.a, at("1.2.3.4", 1000), at("5.6.7.8", 2000)),
                                dial_from(hosts.b, at("5.6.7.8", 2000), at("1.2.3.4", 1000)));
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  EXPECT_EQ(hosts.world.now(), TimePoint(100ms));
  EXPECT_EQ(hosts.world.probe_count("tcp: simultaneous open"), 2U);
  hosts.world.run(write(**a, "hello"));
  auto [text] = hosts.world.run(read_text(**b));
  EXPECT_EQ(*text, "hello");
}

TEST(SimTcp, AHostTalksToItselfInNoTime) {
  TwoHosts hosts;
  const auto local = hosts.b.tcp_listen(at("127.0.0.1", 0), TcpListenOptions{}).value();
  const auto v6 = hosts.b.tcp_listen(at("::1", 90), TcpListenOptions{}).value();
  Times times;
  auto [asked, answered] =
      hosts.world.run(ask(hosts.b, local->local(), times), answer(hosts.b, *local, times));
  EXPECT_TRUE(asked);
  EXPECT_TRUE(answered);
  auto [own, accepted] =
      hosts.world.run(dial(hosts.b, at("5.6.7.8", 80)), hosts.listener->accept());
  EXPECT_TRUE(own);
  EXPECT_EQ((*accepted)->remote().ip.to_string(), "5.6.7.8");
  auto [six] = hosts.world.run(dial(hosts.b, at("::1", 90)));
  EXPECT_TRUE(six);
  EXPECT_EQ(hosts.world.now(), TimePoint(0ms));
  auto [foreign] = hosts.world.run(dial(hosts.a, local->local()));
  EXPECT_EQ(foreign.error(), Errc::refused);
}

TEST(SimTcp, ACrashedHostSeesClosedAndItsPeerNothing) {
  Connected hosts;
  TaskGroup tasks(hosts.b);
  Times times;
  tasks.spawn(answer(hosts.b, *hosts.listener, times));
  tasks.spawn(hosts.server->wait_readable());
  hosts.world.run_for(1s);
  EXPECT_EQ(tasks.size(), 2U);
  hosts.b.crash();
  hosts.world.run_for(1s);
  EXPECT_EQ(tasks.size(), 0U);
  auto [own] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(own.error(), Errc::closed);
  EXPECT_EQ(hosts.b.tcp_listen(at("5.6.7.8", 80), TcpListenOptions{}).error(),
            Errc::network_failed);
  auto [peer] = hosts.world.run(with_timeout(hosts.a, 1h, read_text(*hosts.client)));
  EXPECT_EQ(peer.error(), Errc::timed_out);
}

TEST(SimTcp, AfterARestartThePeerLearnsOfItByItsNextPacket) {
  Connected hosts;
  hosts.b.crash();
  hosts.b.restart();
  hosts.world.run(write(*hosts.client, "are you there?"));
  auto [text] = hosts.world.run(read_text(*hosts.client));
  EXPECT_EQ(text.error(), Errc::reset);
}

TEST(SimTcp, ADialFromTheSamePortAfterARestartReplacesTheOldConnection) {
  Connected hosts;
  const auto from = hosts.client->local();
  hosts.a.crash();
  hosts.a.restart();
  auto [again, accepted] =
      hosts.world.run(dial_from(hosts.a, from, at("5.6.7.8", 80)), hosts.listener->accept());
  EXPECT_TRUE(again);
  EXPECT_TRUE(accepted);
  auto [old] = hosts.world.run(read_text(*hosts.server));
  EXPECT_EQ(old.error(), Errc::reset);
}

TEST(SimTcp, AKilledProgramResetsItsPeers) {
  Connected hosts;
  hosts.b.kill();
  auto [text] = hosts.world.run(read_text(*hosts.client));
  EXPECT_EQ(text.error(), Errc::reset);
}

TEST(SimTcp, OneConnectionCanBeBroken) {
  Connected hosts;
  EXPECT_EQ(hosts.a.break_connections("9.9.9.9"), 0U);
  EXPECT_EQ(hosts.a.break_connections("5.6.7.8"), 1U);
  auto [near, far] = hosts.world.run(read_text(*hosts.client), read_text(*hosts.server));
  EXPECT_EQ(near.error(), Errc::reset);
  EXPECT_EQ(far.error(), Errc::reset);
}

TEST(SimTcp, SocketsMayOutliveTheirNetwork) {
  World world;
  Socket client;
  std::unique_ptr<TcpListener> listener;
  {
    Network net(world);
    auto& a = net.add_host({"a", {"1.2.3.4"}});
    auto& b = net.add_host({"b", {"5.6.7.8"}});
    listener = b.tcp_listen(at("5.6.7.8", 80), TcpListenOptions{}).value();
    auto [dialed] = world.run(dial(a, at("5.6.7.8", 80)));
    client = std::move(dialed).value();
  }
  auto [text] = world.run(read_text(*client));
  EXPECT_EQ(text.error(), Errc::closed);
  auto [accepted] = world.run(listener->accept());
  EXPECT_EQ(accepted.error(), Errc::closed);
  client->reset();
}

}  // namespace
}  // namespace pyrsia::sim

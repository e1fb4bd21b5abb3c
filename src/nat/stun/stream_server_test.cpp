#include "nat/stun/builder.hpp"
#include "nat/stun/numbers.hpp"
#include "nat/stun/server.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const LogSink kSilence;
const Endpoint kServer = at("5.6.7.8", 3478);
constexpr Duration kRoundTrip = 100ms;
constexpr Duration kLongerThanAnyTimeout = 5min;

/// A server over TCP on host b, 50 ms away from host a.
struct Served : sim::TwoHosts {
  ServerConfig config;
  std::unique_ptr<Server> server;

  Served() {
    config.tcp = {kServer};
    config.max_tcp_connections_of_source = 1;
  }
  ~Served() { (void)world.run(server->stop()); }
  void serve() {
    server = std::make_unique<Server>(b, config, Logger("stun", kSilence));
    ASSERT_TRUE(server->start(nullptr));
  }
  /// The place of the one before is free.
  void expect_next_is_served() {
    const auto [next] = world.run(ask_over_tcp(a, kServer, {}));
    EXPECT_TRUE(next) << next.error();
  }
};

Bytes request_of(std::uint8_t id) {
  Header header;
  header.transaction.fill(id);
  Bytes out(kHeaderBytes);
  const Builder builder(out, header);
  return out;
}

/// What came back until the server ended the connection, and how long after what was sent last.
struct Ending {
  Bytes received;
  Duration after{0};
};

Task<> read_to_the_end(Stream& stream, Bytes& received) {
  std::array<std::uint8_t, 512> buffer{};
  for (;;) {
    const auto size = co_await stream.read_some(buffer);
    if (!size && size.error() == Errc::cancelled) co_return size.error();
    if (!size || *size == 0) co_return ok;
    received.insert(received.end(), buffer.begin(), buffer.begin() + *size);
  }
}

/// Sends `parts` with a pause before each but the first, and waits for the end.
Task<Ending> send_and_wait(Env& env, std::vector<Bytes> parts, Duration pause) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, kServer));
  Ending ending;
  auto sent_at = env.now();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) PYRSIA_CO_TRY(co_await env.sleep_for(pause));
    sent_at = env.now();
    if (!co_await socket->write_all(parts[i])) break;
  }
  auto reading = read_to_the_end(*socket, ending.received);
  PYRSIA_CO_TRY(co_await with_timeout(env, kLongerThanAnyTimeout, std::move(reading)));
  ending.after = env.now() - sent_at;
  co_return ending;
}

Result<Ending> ending_of(Served& served, std::vector<Bytes> parts, Duration pause) {
  auto [ending] = served.world.run(send_and_wait(served.a, std::move(parts), pause));
  return ending;
}

TEST(StunStreamServer, AnIdleConnectionIsEnded) {
  Served served;
  served.serve();
  const auto silent = ending_of(served, {}, 0s);
  ASSERT_TRUE(silent) << silent.error();
  EXPECT_TRUE(silent->received.empty());
  // Half a round trip until it is accepted, and as long until the end is known.
  EXPECT_EQ(silent->after, served.config.tcp_idle_timeout + kRoundTrip);
  served.expect_next_is_served();
}

TEST(StunStreamServer, AnAnsweredOneHasAsLongForTheNextRequest) {
  Served served;
  served.serve();
  const auto two = ending_of(served, {request_of(1), request_of(2)}, 29s);
  ASSERT_TRUE(two) << two.error();
  EXPECT_EQ(two->received.size(), 2 * (kHeaderBytes + 12));
  EXPECT_EQ(two->after, served.config.tcp_idle_timeout + kRoundTrip);
  served.expect_next_is_served();
}

TEST(StunStreamServer, HalfAMessageIsWaitedForNoLonger) {
  auto padded = request_of(1);
  write_u16(&padded[2], 100);
  for (const std::size_t size : {1U, 19U, 20U}) {
    Served served;
    served.serve();
    const auto half = ending_of(served, {Bytes(padded.begin(), padded.begin() + size)}, 0s);
    ASSERT_TRUE(half) << half.error();
    EXPECT_TRUE(half->received.empty());
    EXPECT_EQ(half->after, served.config.tcp_idle_timeout + kRoundTrip) << size;
    served.expect_next_is_served();
  }
}

TEST(StunStreamServer, AByteAtATimeBuysNoTime) {
  Served served;
  served.serve();
  auto whole = request_of(1);
  write_u16(&whole[2], 100);
  std::vector<Bytes> bytes;
  for (const auto byte : whole) bytes.push_back({byte});
  const auto start = served.a.now();
  const auto slow = ending_of(served, std::move(bytes), 2s);
  ASSERT_TRUE(slow) << slow.error();
  EXPECT_TRUE(slow->received.empty());
  EXPECT_LE(served.a.now() - start, served.config.tcp_idle_timeout + 3s);
  served.expect_next_is_served();
}

TEST(StunStreamServer, WhatIsNoBindingRequestEndsItAtOnce) {
  auto oversized = request_of(1);
  write_u16(&oversized[2], 0xfffc);
  auto odd = request_of(1);
  write_u16(&odd[2], 3);
  auto legacy = request_of(1);
  legacy[4] ^= 1;
  auto indication = request_of(1);
  write_u16(&indication[0], type_field(MessageClass::indication, Method::binding));
  auto response = request_of(1);
  write_u16(&response[0], type_field(MessageClass::success, Method::binding));
  auto overflowing = request_of(1);
  write_u16(&overflowing[2], 4);
  overflowing.insert(overflowing.end(), {0x00, 0x06, 0xff, 0xff});
  for (const auto& bad : {oversized, odd, legacy, indication, response, overflowing}) {
    Served served;
    served.serve();
    // What came before it is answered, what comes behind it is not.
    const auto ending = ending_of(served, {request_of(1), bad, request_of(2)}, 1s);
    ASSERT_TRUE(ending) << ending.error();
    EXPECT_EQ(ending->received.size(), kHeaderBytes + 12);
    EXPECT_LE(ending->after, kRoundTrip);
    served.expect_next_is_served();
  }
}

TEST(StunStreamServer, AnUnknownAttributeIsRefusedAndTheConnectionGoesOn) {
  Served served;
  served.serve();
  auto unknown = request_of(1);
  write_u16(&unknown[2], 8);
  unknown.insert(unknown.end(), {0x7a, 0xbc, 0x00, 0x04, 0, 0, 0, 0});
  auto together = unknown;
  const auto next = request_of(2);
  together.insert(together.end(), next.begin(), next.end());
  const auto ending = ending_of(served, {together}, 0s);
  ASSERT_TRUE(ending) << ending.error();
  const BytesView received(ending->received);
  ASSERT_GE(received.size(), kHeaderBytes);
  const auto first = message_size(received.first<kHeaderBytes>()).value();
  const auto refused = decode_response(Message::parse(received.first(first)).value(), kServer.ip);
  EXPECT_EQ(refused.value().error, 420);
  EXPECT_EQ(refused.value().unknown, std::vector<std::uint16_t>{0x7abc});
  const auto answered = Message::parse(received.subspan(first)).value();
  EXPECT_EQ(decode_response(answered, kServer.ip).value().mapped.ip, at("1.2.3.4", 0).ip);
}

TEST(StunStreamServer, OneConnectionHasSoManyRequestsAndThenEnds) {
  Served served;
  served.config.max_tcp_requests = 100;
  served.serve();
  Bytes many;
  for (std::uint8_t i = 0; i < 120; ++i) {
    const auto request = request_of(i);
    many.insert(many.end(), request.begin(), request.end());
  }
  const auto ending = ending_of(served, {many}, 0s);
  ASSERT_TRUE(ending) << ending.error();
  EXPECT_EQ(ending->received.size(), 100 * (kHeaderBytes + 12));
  EXPECT_LE(ending->after, kRoundTrip);
  EXPECT_EQ(served.server->counters().at("pyrsia_stun_answered_total"), 100U);
  served.expect_next_is_served();
}

}  // namespace
}  // namespace pyrsia::stun

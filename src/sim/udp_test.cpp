#include "sim/udp.hpp"

#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

Task<> receive(Env& env, UdpSocket& socket, std::vector<ReceivedDatagram>& out,
               std::vector<Bytes>& bytes) {
  for (;;) {
    PYRSIA_CO_TRY(const auto batch,
                  co_await with_timeout(env, Duration(1s), socket.receive_batch()));
    for (const auto& datagram : batch) {
      bytes.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
      out.push_back(datagram);
    }
  }
}

struct Sockets : TwoHosts {
  std::vector<ReceivedDatagram> received_by_b() {
    bytes.clear();
    std::vector<ReceivedDatagram> out;
    auto [end] = world.run(receive(b, *to, out, bytes));
    EXPECT_EQ(end.error(), Errc::timed_out);
    return out;
  }
  OutgoingDatagram datagram(BytesView payload) {
    OutgoingDatagram made;
    made.to = at("5.6.7.8", 2);
    made.bytes = payload;
    return made;
  }

  static UdpOptions options() {
    UdpOptions options;
    options.dont_fragment = options.reads_ecn = true;
    return options;
  }
  std::unique_ptr<UdpSocket> from = a.udp_bind(at("0.0.0.0", 1), options()).value();
  std::unique_ptr<UdpSocket> to = b.udp_bind(at("0.0.0.0", 2), options()).value();
  std::vector<Bytes> bytes;
};

TEST(SimUdpBatch, SegmentsArriveAsDatagramsWithAddressAndEcn) {
  Sockets sockets;
  const Bytes payload(250, 7);
  auto train = sockets.datagram(payload);
  train.segment_bytes = 100;
  train.ecn = 2;
  EXPECT_EQ(sockets.from->send_batch({&train, 1}).value(), 1U);
  const auto received = sockets.received_by_b();
  ASSERT_EQ(received.size(), 3U);
  EXPECT_EQ(received[0].to.to_string(), "5.6.7.8");
  EXPECT_EQ(received[0].ecn, 2);
  EXPECT_EQ(sockets.bytes[2].size(), 50U);
}

TEST(SimUdpBatch, TheSourceMustBeOurs) {
  Sockets sockets;
  auto datagram = sockets.datagram(as_bytes("x"));
  datagram.from = at("9.9.9.9", 0).ip;
  EXPECT_EQ(sockets.from->send_batch({&datagram, 1}).error(), Errc::unreachable);
  sockets.a.set_addresses({"1.2.3.4", "1.2.3.5"});
  datagram.from = at("1.2.3.5", 0).ip;
  EXPECT_EQ(sockets.from->send_batch({&datagram, 1}).value(), 1U);
  EXPECT_EQ(sockets.received_by_b()[0].from, at("1.2.3.5", 1));
}

TEST(SimUdpBatch, APathTakesWhatFitsItsMtu) {
  Sockets sockets;
  auto path = delay_of(50ms);
  path.mtu_bytes = 1028;
  sockets.net.set_path(sockets.a, sockets.b, path);
  const Bytes fits(1000);
  const Bytes too_large(1001);
  const std::array out = {sockets.datagram(too_large), sockets.datagram(fits)};
  EXPECT_EQ(sockets.from->send_batch(out).value(), 2U);
  EXPECT_EQ(sockets.received_by_b().size(), 1U);
  EXPECT_EQ(sockets.bytes[0], fits);
}

TEST(SimUdpBatch, APathMarksCongestionOnlyWhereItMay) {
  Sockets sockets;
  auto path = delay_of(50ms);
  path.congestion_marks = 1;
  sockets.net.set_path(sockets.a, sockets.b, path);
  std::array out = {sockets.datagram(as_bytes("a")), sockets.datagram(as_bytes("b"))};
  out[1].ecn = 2;
  EXPECT_EQ(sockets.from->send_batch(out).value(), 2U);
  const auto received = sockets.received_by_b();
  EXPECT_EQ(received[0].ecn, 0);
  EXPECT_EQ(received[1].ecn, 3);
}

TEST(SimUdpBatch, AClosedSocketSaysSo) {
  Sockets sockets;
  sockets.from->close();
  const auto datagram = sockets.datagram(as_bytes("a"));
  EXPECT_EQ(sockets.from->send_batch({&datagram, 1}).error(), Errc::closed);
  auto [received] = sockets.world.run(sockets.from->receive_batch());
  EXPECT_EQ(received.error(), Errc::closed);
  auto [writable] = sockets.world.run(sockets.from->wait_writable());
  EXPECT_EQ(writable.error(), Errc::closed);
}

Task<UdpError> error_within(Env& env, UdpSocket& socket, Duration limit) {
  auto receiving = socket.receive_error();
  co_return co_await with_timeout(env, limit, std::move(receiving));
}

/// A host behind two NATs, the inner one of which is 3 ms away and says what expires there.
struct Hops {
  Hops() {
    NatConfig outer;
    outer.external = {IpAddress::parse("203.0.113.7").value()};
    NatConfig inner;
    inner.external = {IpAddress::parse("100.64.0.2").value()};
    inner.inside = IpAddress::parse("192.168.1.1").value();
    auto& box = net.add_nat(inner, &net.add_nat(outer));
    host = &net.add_host({"host", {"192.168.1.2"}, &box, 3ms});
  }
  std::unique_ptr<UdpSocket> bind(Env& env, const Endpoint& local, std::uint8_t hop_limit) {
    UdpOptions options;
    options.hop_limit = hop_limit;
    options.hears_errors = true;
    return env.udp_bind(local, options).value();
  }

  World world;
  Network net{world};
  SimHost& far = net.add_host({"far", {"192.0.2.1"}});
  SimHost* host = nullptr;
};

TEST(SimHopLimit, ABoxThatSaysSoTellsWhatExpiresThere) {
  Hops hops;
  const auto to = at("192.0.2.1", 3478);
  const auto socket = hops.bind(*hops.host, at("0.0.0.0", 0), 1);
  EXPECT_TRUE(socket->send(to, as_bytes("x")));
  const auto [error] = hops.world.run(error_within(*hops.host, *socket, 1s));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->to, to);
  EXPECT_EQ(error->from.to_string(), "192.168.1.1");
  EXPECT_EQ(error->kind, UdpError::Kind::expired);
  EXPECT_EQ(hops.world.now().time_since_epoch(), 6ms);
}

TEST(SimHopLimit, ASilentBoxTellsNothingAndEnoughHopsArrive) {
  for (const std::uint8_t limit : {2, 3}) {
    Hops hops;
    const auto server = hops.bind(hops.far, at("192.0.2.1", 3478), 0);
    const auto socket = hops.bind(*hops.host, at("0.0.0.0", 0), limit);
    EXPECT_TRUE(socket->send(server->local(), as_bytes("x")));
    const auto [error] = hops.world.run(error_within(*hops.host, *socket, 1s));
    EXPECT_EQ(error.error(), Errc::timed_out);
    EXPECT_EQ(hops.net.delivered_count(), limit == 3 ? 1U : 0U);
  }
}

TEST(SimHopLimit, WhatIsForABoxItselfHasArrivedThere) {
  Hops hops;
  const auto socket = hops.bind(*hops.host, at("0.0.0.0", 0), 1);
  EXPECT_TRUE(socket->send(at("100.64.0.2", 3478), as_bytes("x")));
  const auto [error] = hops.world.run(error_within(*hops.host, *socket, 1s));
  EXPECT_EQ(error.error(), Errc::timed_out);
}

TEST(SimHopLimit, OnlyASocketThatWasBoundForErrorsHearsOfThem) {
  Hops hops;
  const auto deaf = hops.host->udp_bind(at("0.0.0.0", 0)).value();
  const auto [refused] = hops.world.run(error_within(*hops.host, *deaf, 1s));
  EXPECT_EQ(refused.error(), Errc::not_supported);
  const auto socket = hops.bind(*hops.host, at("0.0.0.0", 0), 1);
  hops.host->crash();
  const auto [closed] = hops.world.run(error_within(*hops.host, *socket, 1s));
  EXPECT_EQ(closed.error(), Errc::closed);
}

}  // namespace
}  // namespace pyrsia::sim

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

  UdpOptions no_fragments{false, 0, 0, true};
  std::unique_ptr<UdpSocket> from = a.udp_bind(at("0.0.0.0", 1), no_fragments).value();
  std::unique_ptr<UdpSocket> to = b.udp_bind(at("0.0.0.0", 2)).value();
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

}  // namespace
}  // namespace pyrsia::sim

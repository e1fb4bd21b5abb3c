/// A peer that is who it says, and sends what no peer should: packets of every type, frames of
/// every kind.
#include "transport/quic/test_forger.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

/// B, and a forger that it has accepted.
class QuicHostile : public testing::Test {
 protected:
  QuicHostile() {
    auto [connected, accepted] = world.run(forger.connect(), accept_one(*peers.listener));
    EXPECT_TRUE(connected && accepted);
    peers.end_b = std::make_unique<End>(peers.host_b, *std::move(accepted));
  }
  std::size_t stream_count() const { return peers.end_b->connection.muxer->stream_count(); }

  Peers peers;
  sim::World& world = peers.world;
  Forger forger{peers};
};

struct Frames {
  const char* name;
  Bytes bytes;
  Errc end = Errc::protocol_violation;
};

/// What RFC 9000 forbids, 19.
const std::vector<Frames> kForbidden = {
    {"unknown frame", {0x21}, Errc::malformed},
    {"type longer than need be", {0x40, 0x01}, Errc::malformed},
    {"ack of what was never sent", {0x02, 0x7f, 0xff, 0, 0, 0}},
    {"ack of ranges below zero", {0x02, 0x00, 0, 0, 0x05}},
    {"reset of a stream of ours", {0x04, 0x01, 0, 0}},
    {"reset of a stream that only we could write", {0x04, 0x03, 0, 0}},
    {"stop for a stream that we have not opened", {0x05, 0x01, 0}},
    {"stop for a stream that only it writes", {0x05, 0x02, 0}},
    {"a token from a client", {0x07, 0x01, 0x01}},
    {"data on a stream that we have not opened", {0x0a, 0x01, 0x01, 0x55}},
    {"data on a stream of one direction", {0x0a, 0x02, 0x01, 0x55}},
    {"data behind the largest offset",
     {0x0e, 0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x55}},
    {"data behind the window", {0x0e, 0x04, 0x80, 0x20, 0, 0, 0x01, 0x55}},
    {"one stream too many", {0x0a, 0x44, 0x00, 0x01, 0x55}},
    {"window for a stream that we have not opened", {0x11, 0x01, 0x05}},
    {"more streams than there are",
     {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     Errc::malformed},
    {"id without bytes", {0x18, 0x09, 0, 0}, Errc::malformed},
    {"id that retires a later one",
     {0x18, 0x01, 0x02, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
     Errc::malformed},
    {"retired id that was never given", {0x19, 0x3f}},
    {"done, from a client", {0x1e}},
};

TEST_F(QuicHostile, TheForgerIsHeard) {
  const Bytes frames = {0x0b, 0x00, 0x02, 'h', 'i'};
  EXPECT_TRUE(forger.send(frames));
  auto [stream] = world.run(peers.end_b->streams.next());
  ASSERT_TRUE(stream);
  auto [echoed] = world.run(echo(**stream));
  EXPECT_TRUE(echoed);
  EXPECT_TRUE(peers.end_b->is_serving());
}

TEST(QuicHostileFrames, EndTheConnectionAndLeaveNothing) {
  for (const auto& frames : kForbidden) {
    SCOPED_TRACE(frames.name);
    Peers peers;
    Forger forger(peers);
    auto [connected, accepted] = peers.world.run(forger.connect(), accept_one(*peers.listener));
    ASSERT_TRUE(connected && accepted);
    peers.end_b = std::make_unique<End>(peers.host_b, *std::move(accepted));
    EXPECT_TRUE(forger.send(frames.bytes));
    peers.world.run_for(1s);
    EXPECT_FALSE(peers.end_b->is_serving());
    EXPECT_EQ(peers.end_b->reason(), frames.end);
    EXPECT_EQ(peers.end_b->connection.muxer->stream_count(), 0U);
    EXPECT_EQ(peers.b.metrics().peer_errors.value(), 1U);
    EXPECT_TRUE(peers.connect()) << "others are served as before";
  }
}

TEST_F(QuicHostile, AFinalSizeThatChangesEndsTheConnection) {
  EXPECT_TRUE(forger.send(Bytes{0x0b, 0x00, 0x01, 'x'}));
  EXPECT_TRUE(forger.send(Bytes{0x0b, 0x00, 0x02, 'x', 'y'}));
  world.run_for(1s);
  EXPECT_FALSE(peers.end_b->is_serving());
  EXPECT_EQ(peers.end_b->reason(), Errc::protocol_violation);
}

TEST_F(QuicHostile, MoreStreamsThanAllowedAreNeverKept) {
  for (std::uint32_t first = 0; first < 256; first += 64) {
    Bytes frames;
    for (auto number = first; number < first + 64; ++number) {
      const auto id = 4 * number;
      for (const auto byte : {0x0aU, 0x40 | id >> 8, id & 0xff, 1U, 0x55U})
        frames.push_back(std::uint8_t(byte));
    }
    EXPECT_TRUE(forger.send(frames));
  }
  world.run_for(1s);
  EXPECT_EQ(stream_count(), 256U);
  EXPECT_TRUE(forger.send(Bytes{0x0a, 0x44, 0x00, 0x01, 'x'}));
  world.run_for(1s);
  EXPECT_FALSE(peers.end_b->is_serving());
  EXPECT_EQ(stream_count(), 0U);
}

TEST_F(QuicHostile, AStopForAStreamItKnowsTellsItsNumberEvenTwice) {
  EXPECT_TRUE(forger.send(Bytes{0x0a, 0x00, 0x01, 'x'}));
  auto [stream] = world.run(peers.end_b->streams.next());
  ASSERT_TRUE(stream);
  EXPECT_TRUE(forger.send(Bytes{0x05, 0x00, 0x50, 0x03, 0x05, 0x00, 0x07}));
  world.run_for(1s);
  EXPECT_EQ((*stream)->peer_stop_code(), 0x1003U);
  EXPECT_FALSE((*stream)->peer_reset_code());
  auto [written] = world.run((*stream)->write_all(as_bytes("more")));
  EXPECT_EQ(written.error(), Errc::closed);
  EXPECT_TRUE(peers.end_b->is_serving());
}

/// Packets that belong to no connection: type, and what is wrong.
struct Packet {
  const char* name;
  Bytes bytes;
};

Bytes long_packet(std::uint8_t first, std::initializer_list<int> behind_ids, std::size_t size) {
  Bytes packet = {first, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 8, 7, 6, 5, 4, 3, 2};
  for (const auto byte : behind_ids) packet.push_back(std::uint8_t(byte));
  if (packet.size() < size) packet.resize(size);
  return packet;
}

std::vector<Packet> broken_packets() {
  auto long_id = long_packet(0xc0, {}, 1200);
  long_id[5] = 255;
  auto short_id = long_packet(0xc0, {0, 0x44, 0x00}, 1200);
  short_id[5] = 0;
  return {
      {"nothing", {}},
      {"a byte of a long header", {0xc0}},
      {"a version, no ids", {0xc0, 0, 0, 0, 1}},
      {"an id that is longer than the packet", {0xc0, 0, 0, 0, 1, 20, 1}},
      {"an id that is longer than version 1 has", long_id},
      {"initial, too short a datagram", long_packet(0xc0, {0, 0x41, 0x00}, 1199)},
      {"initial without a length", long_packet(0xc0, {}, 23)},
      {"initial with an endless token", long_packet(0xc0, {0x7f, 0xff}, 1200)},
      {"initial, longer than the datagram", long_packet(0xc0, {0, 0x7f, 0xff}, 1200)},
      {"initial without a packet number", long_packet(0xc0, {0, 0}, 1200)},
      {"initial with an id that is too short", short_id},
      {"initial that nobody sealed", long_packet(0xc0, {0, 0x44, 0x00}, 1200)},
      {"0-RTT to nobody", long_packet(0xd0, {0x44, 0x00}, 1200)},
      {"handshake to nobody", long_packet(0xe0, {0x44, 0x00}, 1200)},
      {"retry to a server", long_packet(0xf0, {1, 2, 3}, 200)},
      {"version negotiation to a server", {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
      {"no fixed bit", long_packet(0x80, {0, 0x44, 0x00}, 1200)},
      {"short header, too short", {0x40}},
      {"short header to nobody, too short for a reset", Bytes(20, 0x55)},
  };
}

TEST(QuicHostilePackets, OfEveryTypeLeaveNothingAndAmplifyNothing) {
  for (const auto& packet : broken_packets()) {
    SCOPED_TRACE(packet.name);
    Peers peers;
    const auto socket = peers.host_a.udp_bind(sim::at("1.2.3.4", 999)).value();
    std::size_t answered = 0;
    peers.net.set_trace([&](const std::string& line) {
      const auto is_answer =
          line.find("> 1.2.3.4:999") != line.npos && line.find("sent: ") != line.npos;
      if (is_answer) answered += std::stoul(line.substr(line.rfind('+') + 1));
    });
    EXPECT_TRUE(socket->send(sim::at("5.6.7.8", 4001), packet.bytes));
    peers.world.run_for(30s);
    EXPECT_EQ(peers.b.half_open_count(), 0U);
    EXPECT_LE(answered, 3 * packet.bytes.size());
    peers.net.set_trace(nullptr);
    EXPECT_TRUE(peers.connect());
  }
}

/// Answers the first packet of a dial with a packet that `make` makes of it.
Task<> answer_first(UdpSocket& socket, Bytes (*make)(BytesView)) {
  PYRSIA_CO_TRY(const auto batch, co_await socket.receive_batch());
  const auto answer = make(batch[0].bytes);
  co_return socket.send(batch[0].from, answer);
}

Result<Connection> dial_with_answer(Peers& peers, Bytes (*make)(BytesView)) {
  const auto socket = peers.host_b.udp_bind(sim::at("5.6.7.8", 777)).value();
  const auto remote = address("/ip4/5.6.7.8/udp/777/quic-v1");
  auto [dialed, answered] = peers.world.run(
      peers.a.dial(remote, test_key(2).peer_id(), DialOptions()), answer_first(*socket, make));
  EXPECT_TRUE(answered);
  return std::move(dialed);
}

/// A long header with the ids of `first` the other way round, and with `rest` behind it.
Bytes reply_to(BytesView first, std::uint8_t type, std::uint32_t version, const Bytes& rest) {
  const std::size_t to_size = first[5];
  const std::size_t from_size = first[6 + to_size];
  Bytes packet = {type, 0, 0, 0, std::uint8_t(version), std::uint8_t(from_size)};
  const auto to = first.subspan(6, to_size);
  const auto from = first.subspan(7 + to_size, from_size);
  packet.insert(packet.end(), from.begin(), from.end());
  packet.push_back(std::uint8_t(to_size));
  packet.insert(packet.end(), to.begin(), to.end());
  packet.insert(packet.end(), rest.begin(), rest.end());
  return packet;
}

TEST(QuicHostilePackets, AServerWithoutVersion1IsNotSupported) {
  Peers peers;
  const auto dialed = dial_with_answer(
      peers, [](BytesView first) { return reply_to(first, 0xc0, 0, {0xff, 0, 0, 29}); });
  EXPECT_EQ(dialed.error(), Errc::not_supported);
  EXPECT_EQ(peers.world.now(), TimePoint(100ms));
}

TEST(QuicHostilePackets, AVersionNegotiationThatOffersVersion1IsNotBelieved) {
  Peers peers;
  const auto dialed = dial_with_answer(
      peers, [](BytesView first) { return reply_to(first, 0xc0, 0, {0, 0, 0, 1}); });
  EXPECT_EQ(dialed.error(), Errc::timed_out);
}

TEST(QuicHostilePackets, AForgedRetryIsNotBelieved) {
  Peers peers;
  const auto dialed = dial_with_answer(
      peers, [](BytesView first) { return reply_to(first, 0xf0, 1, Bytes(40, 7)); });
  EXPECT_EQ(dialed.error(), Errc::timed_out);
}

TEST(QuicHostilePackets, NoiseInAnswerToADialIsNotBelieved) {
  Peers peers;
  const auto initial = [](BytesView first) {
    Bytes rest = {0, 0x44, 0x00};
    rest.resize(1100, 9);
    return reply_to(first, 0xc0, 1, rest);
  };
  EXPECT_EQ(dial_with_answer(peers, initial).error(), Errc::timed_out);
}

}  // namespace
}  // namespace pyrsia::transport::quic

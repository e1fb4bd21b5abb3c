#include "protocols/autonat/wire.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace pyrsia::autonat {
namespace {

/// The peer of the Ed25519 public key 00 01 … 1f.
Bytes peer_bytes() {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38);
  std::iota(bytes.begin() + 6, bytes.end(), std::uint8_t(0));
  return bytes;
}

PeerId peer() {
  return *PeerId::from_bytes(peer_bytes());
}

Multiaddr address() {
  return *Multiaddr::parse("/ip4/1.2.3.4/tcp/44000");
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes text(std::string_view t) {
  return Bytes(t.begin(), t.end());
}

const Bytes kAddress{0x04, 1, 2, 3, 4, 0x06, 0xab, 0xe0};

// The vectors are those of the original node; the length in front belongs to the frame.
TEST(AutonatWire, DialIsTheOriginalsToTheByte) {
  const auto vector = Bytes{0x08, 0x00, 0x12, 0x34, 0x0a, 0x32, 0x0a, 0x26} + peer_bytes() +
                      Bytes{0x12, 0x08} + kAddress;
  const Dial dial{peer(), {address()}, 0};

  EXPECT_EQ(vector.size(), 0x38u);
  EXPECT_EQ(encode(dial), vector);
  EXPECT_EQ(decode_dial(vector).value(), dial);
}

TEST(AutonatWire, OkIsTheOriginalsToTheByte) {
  const auto vector = Bytes{0x08, 0x01, 0x1a, 0x35, 0x08, 0x00, 0x1a, 0x31} + kAddress +
                      Bytes{0xa5, 0x03, 0x26} + peer_bytes();
  const DialResponse response{Status::ok, "", address().with_peer(peer())};

  EXPECT_EQ(vector.size(), 0x39u);
  EXPECT_EQ(encode(response), vector);
  EXPECT_EQ(decode_response(vector).value(), response);
}

TEST(AutonatWire, ErrorsAreTheOriginalsToTheByte) {
  const auto failed = Bytes{0x08, 0x01, 0x1a, 0x0f, 0x08, 0x64, 0x12, 0x0b} + text("dial failed");
  const auto refused =
      Bytes{0x08, 0x01, 0x1a, 0x19, 0x08, 0x65, 0x12, 0x15} + text("no dialable addresses");
  const DialResponse failed_response{Status::dial_error, "dial failed", {}};
  const DialResponse refused_response{Status::dial_refused, "no dialable addresses", {}};

  EXPECT_EQ(encode(failed_response), failed);
  EXPECT_EQ(decode_response(failed).value(), failed_response);
  EXPECT_EQ(encode(refused_response), refused);
  EXPECT_EQ(decode_response(refused).value(), refused_response);
}

TEST(AutonatWire, OneUnparsableAddressSpoilsNoOther) {
  const auto bytes = Bytes{0x08, 0x00, 0x12, 0x38, 0x0a, 0x36, 0x0a, 0x26} + peer_bytes() +
                     Bytes{0x12, 0x02, 0xff, 0x01, 0x12, 0x08} + kAddress;

  const auto dial = decode_dial(bytes);

  ASSERT_TRUE(dial) << dial.error();
  EXPECT_EQ(dial->addresses, std::vector{address()});
  EXPECT_EQ(dial->unparsable_count, 1u);
}

TEST(AutonatWire, RefusesWhatIsNoRequest) {
  EXPECT_EQ(decode_dial({}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial(Bytes{0x08, 0x00}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial(Bytes{0x08, 0x00, 0x12, 0x00}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial(Bytes{0x08, 0x00, 0x12, 0x02, 0x0a, 0x00}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial(Bytes{0xff}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial(Bytes(kMaxReceivedBytes + 1)).error(), Errc::too_large);
}

TEST(AutonatWire, RefusesWhatIsNoResponse) {
  const DialResponse failed{Status::dial_error, "dial failed", {}};
  EXPECT_EQ(decode_dial(encode(failed)).error(), Errc::malformed);
  const Dial dial{peer(), {address()}, 0};
  EXPECT_EQ(decode_response(encode(dial)).error(), Errc::malformed);
  const Bytes no_status{0x08, 0x01, 0x1a, 0x00};
  EXPECT_EQ(decode_response(no_status).error(), Errc::malformed);
  const Bytes unknown_status{0x08, 0x01, 0x1a, 0x02, 0x08, 0x63};
  EXPECT_EQ(decode_response(unknown_status).error(), Errc::malformed);
  const Bytes ok_without_address{0x08, 0x01, 0x1a, 0x02, 0x08, 0x00};
  EXPECT_EQ(decode_response(ok_without_address).error(), Errc::malformed);
}

TEST(AutonatWire, AServersWordsAreMadeFitToBeShown) {
  DialResponse response;
  response.status = Status::dial_refused;
  response.text = "no\x1b[2J\n\xff\xfe";
  const auto decoded = decode_response(encode(response));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->text, "no?[2J???");
}

TEST(AutonatWire, AddressBesideAnErrorIsLeftOut) {
  const auto bytes = Bytes{0x08, 0x01, 0x1a, 0x0c, 0x08, 0x64, 0x1a, 0x08} + kAddress;

  const auto response = decode_response(bytes);

  ASSERT_TRUE(response);
  EXPECT_FALSE(response->address);
}

TEST(AutonatWire, RequestsFitTheOriginalsBuffer) {
  std::vector<Multiaddr> many;
  for (int port = 1; port <= 60; ++port)
    many.push_back(address().with_port(std::uint16_t(port)).with_peer(peer()));

  const auto dial = fitting_dial(peer(), many);

  EXPECT_LE(encode(dial).size(), kMaxSentBytes);
  EXPECT_EQ(dial.addresses.size(), kMaxAddresses);
  EXPECT_EQ(dial.addresses.front(), many.front());
}

}  // namespace
}  // namespace pyrsia::autonat

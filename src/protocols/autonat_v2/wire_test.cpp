#include "protocols/autonat_v2/wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::autonat_v2 {
namespace {

const Bytes kAddress{0x04, 1, 2, 3, 4, 0x06, 0xab, 0xe0};
constexpr std::uint64_t kNonce = 0x1122334455667788;
const Bytes kNonceBytes{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};

Multiaddr address() {
  return *Multiaddr::parse("/ip4/1.2.3.4/tcp/44000");
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The vector and the message are each other's form.
void expect_same(const Bytes& vector, const Message& message) {
  EXPECT_EQ(encode(message), vector);
  const auto decoded = decode(vector);
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(*decoded, message);
}

TEST(AutonatV2Wire, NoncesAreEightBytesLittleEndian) {
  const auto request = Bytes{0x0a, 0x13, 0x0a, 0x08} + kAddress + Bytes{0x11} + kNonceBytes;
  expect_same(request, DialRequest{{address()}, kNonce});
  EXPECT_EQ(encode_dial_back(kNonce), Bytes{0x09} + kNonceBytes);
  EXPECT_EQ(decode_dial_back(Bytes{0x09} + kNonceBytes).value(), kNonce);
}

TEST(AutonatV2Wire, ResponsesAreTheSpecsToTheByte) {
  expect_same({0x12, 0x08, 0x08, 0xc8, 0x01, 0x10, 0x02, 0x18, 0xc8, 0x01},
              DialResponse{ResponseStatus::ok, 2, DialStatus::ok});
  expect_same({0x12, 0x05, 0x08, 0xc8, 0x01, 0x18, 0x64},
              DialResponse{ResponseStatus::ok, 0, DialStatus::dial_error});
  expect_same({0x12, 0x05, 0x08, 0xc8, 0x01, 0x18, 0x65},
              DialResponse{ResponseStatus::ok, 0, DialStatus::dial_back_error});
  expect_same({0x12, 0x02, 0x08, 0x64}, DialResponse{ResponseStatus::request_rejected});
  expect_same({0x12, 0x02, 0x08, 0x65}, DialResponse{ResponseStatus::dial_refused});
  expect_same({0x12, 0x00}, DialResponse{ResponseStatus::internal_error});
}

TEST(AutonatV2Wire, DialDataIsTheSpecsToTheByte) {
  expect_same({0x1a, 0x06, 0x08, 0x01, 0x10, 0xb0, 0xea, 0x01}, DialDataRequest{1, 30'000});
  expect_same({0x22, 0x05, 0x0a, 0x03, 0x00, 0x00, 0x00}, DialDataResponse{3});
  EXPECT_LE(encode(DialDataResponse{kDialDataChunkBytes}).size(), kMaxSentBytes);
}

TEST(AutonatV2Wire, TheAnswerToADialBackIsEmpty) {
  EXPECT_TRUE(encode_dial_back_response().empty());
}

TEST(AutonatV2Wire, OneUnparsableAddressKeepsItsPlaceAndSpoilsNoOther) {
  const auto bytes = Bytes{0x0a, 0x10, 0x0a, 0x02, 0xff, 0x01, 0x0a, 0x00, 0x0a, 0x08} + kAddress;
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error();
  const auto& request = std::get<DialRequest>(*decoded);
  EXPECT_EQ(request.addresses, (std::vector{Multiaddr(), Multiaddr(), address()}));
}

TEST(AutonatV2Wire, OfFourThousandAddressesFiftyAreKept) {
  Bytes body;
  for (int i = 0; i < 4000; ++i) body = std::move(body) + Bytes{0x0a, 0x00};
  const auto bytes = Bytes{0x0a, 0xc0, 0x3e} + body;
  ASSERT_LE(bytes.size(), kMaxReceivedBytes);
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<DialRequest>(*decoded).addresses.size(), kMaxConsideredAddresses);
}

TEST(AutonatV2Wire, UnknownFieldsAreSkipped) {
  const Bytes bytes{0x12, 0x0a, 0x08, 0xc8, 0x01, 0x18, 0xc8, 0x01,
                    0x7a, 0x02, 0x01, 0x02, 0x7a, 0x01, 0xff};
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(std::get<DialResponse>(*decoded),
            (DialResponse{ResponseStatus::ok, 0, DialStatus::ok}));
}

// Spec: "Implementations MUST discard responses with status codes they do not understand."
TEST(AutonatV2Wire, StatusesThatNobodyKnowsAreMalformed) {
  EXPECT_EQ(decode(Bytes{0x12, 0x02, 0x08, 0x63}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{0x12, 0x05, 0x08, 0xc8, 0x01, 0x18, 0x63}).error(), Errc::malformed);
}

TEST(AutonatV2Wire, WhatStandsBesideARefusalMeansNothing) {
  const auto decoded = decode(Bytes{0x12, 0x06, 0x08, 0x65, 0x10, 0x05, 0x18, 0x63});
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(std::get<DialResponse>(*decoded), DialResponse{ResponseStatus::dial_refused});
}

TEST(AutonatV2Wire, RefusesWhatIsNoMessage) {
  EXPECT_EQ(decode({}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{0xff}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{0x2a, 0x00}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes(kMaxReceivedBytes + 1)).error(), Errc::too_large);
  EXPECT_EQ(decode_dial_back(Bytes{0x08, 0x01, 0xff}).error(), Errc::malformed);
  EXPECT_EQ(decode_dial_back(Bytes(kMaxDialBackBytes + 1)).error(), Errc::too_large);
}

TEST(AutonatV2Wire, RequestsFitTheTightestBuffer) {
  std::vector<Multiaddr> many;
  for (int port = 1; port <= 60; ++port) many.push_back(address().with_port(std::uint16_t(port)));
  const auto request = fitting_request(many, kNonce);
  EXPECT_EQ(request.addresses.size(), kMaxAddresses);
  EXPECT_EQ(request.addresses.front(), many.front());

  const auto path = "/ip4/1.2.3.4/tcp/1/http-path/" + std::string(900, 'x');
  const std::vector<Multiaddr> long_ones(20, *Multiaddr::parse(path));
  const auto fitted = fitting_request(long_ones, kNonce);
  EXPECT_EQ(fitted.addresses.size(), 4u);
  EXPECT_LE(encode(fitted).size(), kMaxSentBytes);
}

}  // namespace
}  // namespace pyrsia::autonat_v2

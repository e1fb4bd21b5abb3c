#include "nat/portmap/pcp_wire.hpp"

#include "base/hex.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap::pcp {
namespace {

const IpAddress kClient = IpAddress::v4({192, 168, 1, 2});

Request map_request() {
  Request request;
  request.opcode = Opcode::map;
  request.lifetime_seconds = 7200;
  request.client = kClient;
  Mapping mapping;
  for (std::uint8_t i = 0; i < 12; ++i) mapping.nonce[i] = i;
  mapping.protocol = 6;
  mapping.internal_port = 44000;
  mapping.external = {IpAddress::v4_any(), 44000};
  request.mapping = mapping;
  return request;
}

Response map_response() {
  Response response;
  response.opcode = Opcode::map;
  response.lifetime_seconds = 600;
  response.epoch_seconds = 77;
  response.mapping = map_request().mapping;
  response.mapping->external = {IpAddress::v4({1, 2, 3, 4}), 44001};
  return response;
}

// The layout of RFC 6887, figures 2 and 9, field by field.
constexpr std::string_view kMapRequest =
    "02010000"                           // version, MAP, reserved
    "00001c20"                           // lifetime 7200
    "00000000000000000000ffffc0a80102"   // client
    "000102030405060708090a0b"           // nonce
    "06000000"                           // TCP, reserved
    "abe0abe0"                           // ports
    "00000000000000000000ffff00000000";  // no preference, IPv4

TEST(PcpWire, AMapRequestIsLaidOutAsTheSpecificationHasIt) {
  EXPECT_EQ(to_hex(encode(map_request())), kMapRequest);
  EXPECT_TRUE(decode_request(*from_hex(kMapRequest)) == map_request());
}

TEST(PcpWire, AMapResponseIsLaidOutAsTheSpecificationHasIt) {
  const std::string_view bytes =
      "02810000"
      "00000258"
      "0000004d"
      "000000000000000000000000"
      "000102030405060708090a0b"
      "06000000"
      "abe0abe1"
      "00000000000000000000ffff01020304";
  EXPECT_EQ(to_hex(encode(map_response())), bytes);
  EXPECT_TRUE(decode_response(*from_hex(bytes)) == map_response());
}

TEST(PcpWire, PeerAndItsOptionsSurviveARoundTrip) {
  auto request = map_request();
  request.opcode = Opcode::peer;
  request.mapping->remote = Endpoint{IpAddress::v4({5, 6, 7, 8}), 443};
  request.options.third_party = IpAddress::v4({192, 168, 1, 9});
  request.options.prefer_failure = true;
  request.options.filters = {{128, {IpAddress::v4({5, 6, 7, 8}), 0}},
                             {0, {IpAddress::v6_any(), 0}}};
  const auto bytes = encode(request);
  EXPECT_EQ(bytes.size(), 24U + 56 + 20 + 4 + 24 + 24);
  EXPECT_TRUE(decode_request(bytes) == request);
}

TEST(PcpWire, AnAnnouncementIsAHeaderOnly) {
  Request request;
  request.client = *IpAddress::parse("2001:db8::2");
  EXPECT_EQ(encode(request).size(), 24U);
  EXPECT_TRUE(decode_request(encode(request)) == request);
}

TEST(PcpWire, EachTruncationIsMalformedAndNothingElse) {
  const auto request = encode(map_request());
  const auto response = encode(map_response());
  for (std::size_t size = 0; size < request.size(); ++size) {
    EXPECT_EQ(decode_request(BytesView(request).first(size)).error(), Errc::malformed) << size;
    EXPECT_EQ(decode_response(BytesView(response).first(size)).error(), Errc::malformed) << size;
  }
}

TEST(PcpWire, AMessageOverTheLimitIsTooLarge) {
  auto bytes = encode(map_request());
  bytes.resize(kMaxMessageBytes + 4);
  EXPECT_EQ(decode_request(bytes).error(), Errc::too_large);
  EXPECT_EQ(decode_response(bytes).error(), Errc::too_large);
}

TEST(PcpWire, AnErrorMayComeWithoutTheMapping) {
  auto response = map_response();
  response.result = ResultCode::not_authorized;
  response.mapping.reset();
  const auto bytes = encode(response);
  EXPECT_EQ(bytes.size(), 24U);
  EXPECT_TRUE(decode_response(bytes) == response);
  response.result = ResultCode::success;
  EXPECT_EQ(decode_response(encode(response)).error(), Errc::malformed);
}

TEST(PcpWire, AnotherVersionIsReadAsFarAsItsResult) {
  // How a NAT-PMP router answers version 2: RFC 6887, appendix A.
  const auto response = decode_response(*from_hex("00800001000000ff"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->version, 0);
  EXPECT_EQ(response->result, ResultCode::unsupp_version);
}

TEST(PcpWire, AnUnknownOptionMattersOnlyWhereItMustBeUnderstood) {
  auto bytes = encode(map_request());
  for (const std::uint8_t byte : {77, 0, 0, 2, 1, 2, 0, 0}) bytes.push_back(byte);
  EXPECT_EQ(decode_request(bytes).error(), Errc::not_supported);
  bytes[60] = 200;
  EXPECT_TRUE(decode_request(bytes) == map_request());
  bytes[63] = 9;  // Longer than the message.
  EXPECT_EQ(decode_request(bytes).error(), Errc::malformed);
}

TEST(PcpWire, AnOptionTwiceOrOfAWrongLengthIsMalformed) {
  auto request = map_request();
  request.options.prefer_failure = true;
  auto bytes = encode(request);
  for (const std::uint8_t byte : {2, 0, 0, 0}) bytes.push_back(byte);
  EXPECT_EQ(decode_request(bytes).error(), Errc::malformed);
}

TEST(PcpWire, EveryResultCodeHasANameAMeaningAndAConsequence) {
  for (int code = 1; code <= 13; ++code) {
    const auto result = static_cast<ResultCode>(code);
    EXPECT_FALSE(name(result).starts_with("result")) << code;
    EXPECT_NE(meaning(result), meaning(static_cast<ResultCode>(99))) << code;
  }
  EXPECT_EQ(name(static_cast<ResultCode>(99)), "result 99");
  EXPECT_EQ(error_of(ResultCode::unsupp_version), Errc::not_supported);
  EXPECT_EQ(error_of(ResultCode::not_authorized), Errc::refused);
  EXPECT_EQ(error_of(ResultCode::no_resources), Errc::unavailable);
  EXPECT_EQ(error_of(ResultCode::malformed_request), Errc::protocol_violation);
}

TEST(PcpWire, MessagesCanBeSaidInWords) {
  EXPECT_EQ(to_string(map_request()),
            "PCP MAP tcp 44000, lifetime 7200 s, as 0.0.0.0:44000, from 192.168.1.2");
  EXPECT_EQ(to_string(map_response()),
            "PCP MAP SUCCESS: tcp 44000 is 1.2.3.4:44001 for 600 s, epoch 77 s");
}

}  // namespace
}  // namespace pyrsia::portmap::pcp

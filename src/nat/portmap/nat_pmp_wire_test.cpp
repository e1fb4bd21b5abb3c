#include "nat/portmap/nat_pmp_wire.hpp"

#include "base/hex.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap::nat_pmp {
namespace {

Request map_request(Transport transport) {
  Request request;
  request.mapping = Request::Mapping{transport, 44000, 44001, 7200};
  return request;
}

// The layouts of RFC 6886, sections 3.2 and 3.3.
TEST(NatPmpWire, RequestsAreLaidOutAsTheSpecificationHasThem) {
  EXPECT_EQ(to_hex(encode(Request())), "0000");
  EXPECT_EQ(to_hex(encode(map_request(Transport::udp))), "00010000abe0abe100001c20");
  EXPECT_EQ(to_hex(encode(map_request(Transport::tcp))), "00020000abe0abe100001c20");
  for (const auto* bytes : {"0000", "00010000abe0abe100001c20", "00020000abe0abe100001c20"}) {
    const auto request = decode_request(*from_hex(bytes));
    ASSERT_TRUE(request) << bytes;
    EXPECT_EQ(to_hex(encode(*request)), bytes);
  }
}

TEST(NatPmpWire, ResponsesAreLaidOutAsTheSpecificationHasThem) {
  const auto address = decode_response(*from_hex("008000000000004d01020304"));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->external, IpAddress::v4({1, 2, 3, 4}));
  EXPECT_EQ(address->epoch_seconds, 77U);
  EXPECT_EQ(to_hex(encode(*address)), "008000000000004d01020304");
  const auto mapping = decode_response(*from_hex("008200000000004dabe0abe100001c20"));
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->mapping, map_request(Transport::tcp).mapping);
  EXPECT_EQ(to_hex(encode(*mapping)), "008200000000004dabe0abe100001c20");
}

TEST(NatPmpWire, EachTruncationIsMalformed) {
  const auto request = encode(map_request(Transport::tcp));
  const auto response = *from_hex("008200000000004dabe0abe100001c20");
  for (std::size_t size = 0; size < request.size(); ++size)
    EXPECT_EQ(decode_request(BytesView(request).first(size)).error(), Errc::malformed) << size;
  for (std::size_t size = 0; size < response.size(); ++size)
    EXPECT_EQ(decode_response(BytesView(response).first(size)).error(), Errc::malformed) << size;
}

TEST(NatPmpWire, OtherVersionsAndOpcodesAreNotSpoken) {
  EXPECT_EQ(decode_request(*from_hex("0103")).error(), Errc::not_supported);
  EXPECT_EQ(decode_request(*from_hex("0003")).error(), Errc::not_supported);
  EXPECT_EQ(decode_response(*from_hex("028000010000000000000000")).error(), Errc::not_supported);
  EXPECT_EQ(decode_response(*from_hex("0083000000000000")).error(), Errc::not_supported);
  EXPECT_EQ(decode_response(*from_hex("0000000000000000")).error(), Errc::malformed);
  EXPECT_EQ(decode_response(Bytes(65)).error(), Errc::too_large);
}

TEST(NatPmpWire, AnErrorMayBeShort) {
  const auto response = decode_response(*from_hex("008200020000004d"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->result, ResultCode::not_authorized);
  ASSERT_TRUE(response->mapping);
  EXPECT_EQ(response->mapping->internal_port, 0);
}

TEST(NatPmpWire, EveryResultCodeHasANameAMeaningAndAConsequence) {
  for (int code = 1; code <= 5; ++code) {
    const auto result = static_cast<ResultCode>(code);
    EXPECT_FALSE(name(result).starts_with("result")) << code;
    EXPECT_NE(meaning(result), meaning(static_cast<ResultCode>(99))) << code;
  }
  EXPECT_EQ(name(static_cast<ResultCode>(99)), "result 99");
  EXPECT_EQ(error_of(ResultCode::not_authorized), Errc::refused);
  EXPECT_EQ(error_of(ResultCode::out_of_resources), Errc::unavailable);
  EXPECT_EQ(error_of(ResultCode::unsupported_opcode), Errc::not_supported);
}

}  // namespace
}  // namespace pyrsia::portmap::nat_pmp

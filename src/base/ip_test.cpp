#include "base/endpoint_text.hpp"

#include <pyrsia/ip.hpp>

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

TEST(IpAddress, WritesTheCanonicalText) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"192.0.2.1", "192.0.2.1"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"::", "::"},
  };
  for (const auto& [text, canonical] : vectors) EXPECT_EQ(ip(text).to_string(), canonical);
}

TEST(IpAddress, RefusesWhatIsNone) {
  using std::string_view_literals::operator""sv;
  for (const auto text :
       {""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.0.0.1"sv, "1.2.3.04"sv, "0x1.2.3.4"sv, " 1.2.3.4"sv,
        "1.2.3.4 "sv, "1.2.3.4\0"sv, "fe80::1%eth0"sv, ":::"sv, "12345::"sv, "[::1]"sv,
        "1:2:3:4:5:6:7:8:9"sv, "localhost"sv}) {
    EXPECT_EQ(IpAddress::parse(text).error(), Errc::malformed) << text;
  }
}

TEST(IpAddress, KnowsItsKind) {
  EXPECT_TRUE(ip("127.3.2.1").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_TRUE(IpAddress::v4_any().is_unspecified());
  EXPECT_TRUE(IpAddress::v6_any().is_unspecified());
  EXPECT_NE(IpAddress::v4_any(), IpAddress::v6_any());
  EXPECT_EQ(ip("::ffff:192.0.2.1").unmapped(), ip("192.0.2.1"));
  EXPECT_EQ(ip("::fffe:192.0.2.1").unmapped(), ip("::fffe:192.0.2.1"));
}

TEST(IpAddress, ANetworkHoldsItsAddressesOnly) {
  EXPECT_TRUE(ip("100.127.255.255").is_in(ip("100.64.0.0"), 10));
  EXPECT_FALSE(ip("100.128.0.0").is_in(ip("100.64.0.0"), 10));
  EXPECT_TRUE(ip("10.0.0.1").is_in(ip("10.0.0.1"), 32));
  EXPECT_FALSE(ip("10.0.0.2").is_in(ip("10.0.0.1"), 32));
  EXPECT_TRUE(ip("fd00::1").is_in(ip("fc00::"), 7));
  EXPECT_FALSE(ip("::1").is_in(ip("0.0.0.0"), 0));
  EXPECT_TRUE(ip("203.0.113.9").is_in(ip("0.0.0.0"), 0));
}

TEST(Endpoint, PutsIpv6InBrackets) {
  EXPECT_EQ((Endpoint{ip("192.0.2.1"), 80}.to_string()), "192.0.2.1:80");
  EXPECT_EQ((Endpoint{ip("2001:db8::1"), 80}.to_string()), "[2001:db8::1]:80");
}

TEST(Endpoint, IsReadFromText) {
  EXPECT_EQ(parse_endpoint("192.0.2.1:80", 7), (Endpoint{ip("192.0.2.1"), 80}));
  EXPECT_EQ(parse_endpoint("192.0.2.1", 7), (Endpoint{ip("192.0.2.1"), 7}));
  EXPECT_EQ(parse_endpoint("[2001:db8::1]:80", 7), (Endpoint{ip("2001:db8::1"), 80}));
  EXPECT_EQ(parse_endpoint("[2001:db8::1]", 7), (Endpoint{ip("2001:db8::1"), 7}));
  EXPECT_EQ(parse_endpoint("2001:db8::1", 7), (Endpoint{ip("2001:db8::1"), 7}));
  for (const auto* text :
       {"", ":", "[", "[]", "]", "[]:1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1",
        "192.0.2.1:8x", "[2001:db8::1]80", "[2001:db8::1:80", "[2001:db8::1]:", "host:80"})
    EXPECT_EQ(parse_endpoint(text, 7), std::nullopt) << text;
}

}  // namespace
}  // namespace pyrsia

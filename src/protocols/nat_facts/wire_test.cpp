#include "protocols/nat_facts/wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat_facts {
namespace {

nat::Report whole() {
  nat::Report report;
  report.udp.is_blocked = false;
  report.udp.has_nat = true;
  report.udp.mapped = Endpoint{*IpAddress::parse("203.0.113.7"), 5000};
  report.udp.mapping_varies = true;
  report.udp.mapping = nat::Dependence::address_and_port_dependent;
  report.udp.filtering = nat::Dependence::address_dependent;
  report.udp.allocation = nat::Allocation::sequential;
  report.udp.allocation_step = -2;
  report.udp.has_hairpin = false;
  report.tcp.is_blocked = false;
  report.tcp.mapping = nat::Dependence::endpoint_independent;
  report.tcp.mapping_varies = false;
  report.position = nat::Position::carrier_nat;
  report.reachable = Reachability::reachable;
  report.has_ipv6 = true;
  report.has_nat_v6 = false;
  report.ways_in = nat::WaysIn{.udp_v4 = true, .tcp_v6 = true};
  return report;
}

TEST(NatFactsWire, AllFactsThatDecideAPathCross) {
  const auto sent = whole();
  const auto bytes = encode(sent);
  EXPECT_LT(bytes.size(), 100U);
  const auto read = decode(bytes);
  ASSERT_TRUE(read);
  auto expected = sent.udp;
  expected.mapped->port = 0;  // Nobody's business.
  EXPECT_EQ(read->udp, expected);
  EXPECT_EQ(read->tcp.mapping, sent.tcp.mapping);
  EXPECT_EQ(read->tcp.mapping_varies, sent.tcp.mapping_varies);
  EXPECT_EQ(read->tcp.is_blocked, sent.tcp.is_blocked);
  EXPECT_EQ(read->position, sent.position);
  EXPECT_EQ(read->reachable, sent.reachable);
  EXPECT_EQ(read->has_ipv6, true);
  EXPECT_EQ(read->has_nat_v6, false);
  EXPECT_EQ(read->ways_in, sent.ways_in);
}

TEST(NatFactsWire, NothingKnownIsNothingSaid) {
  EXPECT_TRUE(encode(nat::Report()).empty());
  const auto read = decode({});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->udp, nat::UdpBehaviour());
  EXPECT_EQ(read->reachable, Reachability::unknown);
  EXPECT_EQ(read->has_ipv6, std::nullopt);
  EXPECT_EQ(read->has_nat_v6, std::nullopt);
  EXPECT_EQ(read->ways_in, std::nullopt);
}

TEST(NatFactsWire, FieldsHaveTheNumbersOfTheSpec) {
  nat::Report report;
  report.udp.mapping = nat::Dependence::endpoint_independent;
  EXPECT_EQ(encode(report), (Bytes{5 << 3, 1}));
  report = {};
  report.position = nat::Position::open;
  EXPECT_EQ(encode(report), (Bytes{13 << 3, 1}));
  report = {};
  report.has_ipv6 = true;
  report.has_nat_v6 = true;
  EXPECT_EQ(encode(report), (Bytes{15 << 3, 1}));
  report = {};
  report.ways_in = nat::WaysIn{.tcp_v4 = true, .udp_v6 = true};
  EXPECT_EQ(encode(report), (Bytes{0x80, 1, 6}));
}

TEST(NatFactsWire, NumbersThatNobodyKnowsAreMalformed) {
  EXPECT_EQ(decode(Bytes{5 << 3, 0}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{5 << 3, 4}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{7 << 3, 6}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{13 << 3, 6}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{8 << 3, 0x80, 0x80, 0x04}).error(), Errc::malformed);  // A step of 65536.
  EXPECT_EQ(decode(Bytes{3 << 3 | 2, 3, 1, 2, 3}).error(), Errc::malformed);  // Three bytes of IP.
  EXPECT_EQ(decode(Bytes{0x80, 1, 16}).error(), Errc::malformed);             // A fifth way in.
  EXPECT_EQ(decode(Bytes{5 << 3}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes(kMaxMessageBytes + 1)).error(), Errc::too_large);
}

}  // namespace
}  // namespace pyrsia::nat_facts

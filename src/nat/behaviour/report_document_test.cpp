#include "nat/behaviour/report_document.hpp"

#include "nat/behaviour/hop_trace.hpp"

#include <gtest/gtest.h>

namespace pyrsia::nat {
namespace {

using namespace std::chrono_literals;

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

/// All facts, each another value than the default.
Report whole() {
  Report report;
  report.udp.is_blocked = false;
  report.udp.mapped = Endpoint{ip("203.0.113.7"), 4000};
  report.udp.has_nat = true;
  report.udp.mapping_varies = true;
  report.udp.mapping = Dependence::address_and_port_dependent;
  report.udp.filtering = Dependence::address_dependent;
  report.udp.allocation = Allocation::sequential;
  report.udp.allocation_step = -2;
  report.udp.has_hairpin = false;
  report.udp.passes_fragments = true;
  report.udp.lifetime = LifetimeRange{29999999999ns, 60s};
  report.udp.round_trip = 12345678ns;
  report.tcp.is_blocked = false;
  report.tcp.mapped = Endpoint{ip("203.0.113.7"), 4001};
  report.tcp.mapping = Dependence::endpoint_independent;
  report.tcp.mapping_varies = false;
  report.has_tls = true;
  report.mapped_tls = Endpoint{ip("203.0.113.7"), 4002};
  report.has_ipv6 = true;
  report.mapped_v6 = Endpoint{ip("2001:db8::7"), 4003};
  report.has_nat_v6 = false;
  report.filtering_v6 = Dependence::endpoint_independent;
  report.is_captive = false;
  report.has_nat64 = true;
  report.nat64_prefix = "64:ff9b::/96";
  report.gateway.router = ip("192.168.1.1");
  report.gateway.name = "Box \"3\"";
  report.gateway.has_pcp = true;
  report.gateway.has_nat_pmp = false;
  report.gateway.has_upnp = true;
  report.gateway.external_ip = ip("100.64.0.2");
  report.gateway.has_outside = true;
  report.gateway.is_mapped = false;
  report.gateway.mapping_why = "it refuses";
  report.gateway.second_router = ip("100.64.0.1");
  report.hops.routers = {ip("192.168.1.1"), std::nullopt, ip("100.64.0.1")};
  report.hops.passed_count = 2;
  report.hops.first_has_mapped = false;
  report.interface_ip = ip("192.168.1.2");
  report.position = Position::carrier_nat;
  report.reachable = Reachability::reachable;
  report.reachable_why = "a peer has tried";
  report.ways_in = WaysIn{.udp_v4 = true, .tcp_v6 = true};
  report.servers = {{ip("192.0.2.1"), 3478}, {ip("2001:db8::1"), 3478}};
  report.server = report.servers.front();
  report.unresolved = {"stun.example", "other.example"};
  report.took = 1500ms;
  return report;
}

std::string with(std::string_view facts) {
  return R"({"schema":"pyrsia.probe/1",)" + std::string(facts) + "}";
}

Report read(std::string_view facts) {
  return read_report(with(facts)).value();
}

TEST(ReportDocument, WhatIsWrittenIsReadAgain) {
  const auto sent = whole();
  const auto text = write_report(sent);
  EXPECT_LT(text.size(), 3000U);
  const auto read = read_report(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->udp, sent.udp);
  EXPECT_EQ(read->tcp, sent.tcp);
  EXPECT_EQ(read->ways_in, sent.ways_in);
  EXPECT_EQ(read->servers, sent.servers);
  EXPECT_EQ(read->took, sent.took);
  EXPECT_EQ(read->has_nat_v6, false);
  EXPECT_EQ(read->filtering_v6, Dependence::endpoint_independent);
  EXPECT_EQ(write_report(*read), text);
}

TEST(ReportDocument, WhatIsUnknownIsNullAndReadAsUnknown) {
  const auto text = write_report(Report());
  EXPECT_EQ(text.find("false"), std::string::npos) << text;
  const auto read = read_report(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->udp, UdpBehaviour());
  EXPECT_EQ(read->tcp, TcpBehaviour());
  EXPECT_EQ(read->ways_in, std::nullopt);
  EXPECT_EQ(read->reachable, Reachability::unknown);
  EXPECT_EQ(write_report(*read), text);
  EXPECT_EQ(write_report(*read_report(R"({"schema":"pyrsia.probe/1"})")), text);
}

TEST(ReportDocument, OtherDocumentsAreMalformed) {
  for (const auto* text :
       {"", " ", "{", "null", "7", "[]", "{}", R"("pyrsia.probe/1")", R"({"schema":null})",
        R"({"schema":"pyrsia.probe/2"})", R"({"schema":["pyrsia.probe/1"]})",
        R"(["schema","pyrsia.probe/1"])", R"({"schema":"pyrsia.probe/1"} {})",
        R"({"schema":"pyrsia.probe/1",})", "{\"schema\":\"pyrsia.probe/1\",\"x\":\"\xff\"}",
        "<html>Sign in</html>"})
    EXPECT_EQ(read_report(text).error(), Errc::malformed) << text;
}

TEST(ReportDocument, NestingAndSizeHaveALimit) {
  const auto nested = [](std::size_t depth) {
    return with("\"x\":" + std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_TRUE(read_report(nested(20)));
  EXPECT_EQ(read_report(nested(1000)).error(), Errc::malformed);
  auto text = with(R"("x":")" + std::string(kMaxDocumentBytes, 'x') + '"');
  EXPECT_EQ(read_report(text).error(), Errc::too_large);
  text = with(R"("x":1)");
  text.append(kMaxDocumentBytes - text.size(), ' ');
  EXPECT_TRUE(read_report(text));
}

TEST(ReportDocument, FactsOfAnotherTypeAreUnknown) {
  for (const auto* value : {"null", "7", "\"true\"", "[true]", "{}", "-1.5e300"}) {
    const std::string text(value);
    SCOPED_TRACE(text);
    EXPECT_EQ(read(R"("captive_portal":)" + text).is_captive, std::nullopt);
    EXPECT_EQ(read(R"("reachable":)" + text).reachable, Reachability::unknown);
    EXPECT_EQ(read(R"("udp":)" + text).udp, UdpBehaviour());
    EXPECT_EQ(read(R"("udp":{"mapped":)" + text + "}").udp, UdpBehaviour());
    EXPECT_EQ(read(R"("udp":{"mapping":)" + text + "}").udp, UdpBehaviour());
    EXPECT_EQ(read(R"("udp":{"allocation":)" + text + "}").udp, UdpBehaviour());
    EXPECT_EQ(read(R"("position":)" + text).position, std::nullopt);
    EXPECT_EQ(read(R"("interface_ip":)" + text).interface_ip, std::nullopt);
    EXPECT_TRUE(read(R"("servers":)" + text).servers.empty());
  }
}

TEST(ReportDocument, NumbersOutOfRangeAreUnknown) {
  const auto step = [](std::string_view text) {
    return read(R"("udp":{"allocation_step":)" + std::string(text) + "}").udp.allocation_step;
  };
  EXPECT_EQ(step("-65535"), -65535);
  for (const auto* text : {"65536", "-65536", "4294967297", "9223372036854775807",
                           "18446744073709551615", "1.0", "1e3", "\"1\""})
    EXPECT_EQ(step(text), std::nullopt) << text;
  const auto trip = [](std::string_view text) {
    return read(R"("udp":{"round_trip_ms":)" + std::string(text) + "}").udp.round_trip;
  };
  EXPECT_EQ(trip("0"), 0ms);
  EXPECT_EQ(trip("86400000"), 24h);
  for (const auto* text : {"-1", "86400001", "1e300", "-1e-300", "18446744073709551615"})
    EXPECT_EQ(trip(text), std::nullopt) << text;
}

TEST(ReportDocument, TextsOfOthersAreCutAndPrintable) {
  const auto report = read(R"("reachable_why":"\u001b[2J\nrm \u00e9","gateway":{"name":")" +
                           std::string(5000, 'x') + "\"}");
  EXPECT_EQ(report.reachable_why, "?[2J?rm ??");
  EXPECT_EQ(report.gateway.name, std::string(kMaxDocumentText, 'x'));
}

TEST(ReportDocument, OnlyTheFirstServersCountAndWhatIsNoneIsLeftOut) {
  std::string list = R"("nonsense",7,"1.2.3.4:99999")";
  for (int i = 0; i < 100; ++i) list += R"(,"192.0.2.1:3478")";
  EXPECT_EQ(read("\"servers\":[" + list + "]").servers.size(), kMaxDocumentServers);
  EXPECT_EQ(read(R"("servers":["nonsense"])").servers.size(), 0U);
}

TEST(ReportDocument, UnresolvedNamesAreFewShortAndPrintable) {
  std::string list = "1,\"a\\nb\",\"" + std::string(2 * kMaxDocumentText, 'x') + '"';
  for (std::size_t i = 0; i < 2 * kMaxDocumentServers; ++i) list += ",\"c\"";
  const auto names = read("\"unresolved\":[" + list + "]").unresolved;
  ASSERT_EQ(names.size(), kMaxDocumentServers);
  EXPECT_EQ(names[0], "a?b");
  EXPECT_EQ(names[1], std::string(kMaxDocumentText, 'x'));
  EXPECT_TRUE(read(R"("unresolved":"a")").unresolved.empty());
}

TEST(ReportDocument, NoMoreRoutersCountThanAProbeTellsOf) {
  std::string list = R"("nonsense",7)";
  for (int i = 0; i < 100; ++i) list += R"(,"10.0.0.1")";
  const auto read_hops = [](const std::string& routers, std::string_view passed) {
    return read(R"("hops":{"routers":[)" + routers + R"(],"passed_count":)" + std::string(passed) +
                "}")
        .hops;
  };
  const auto hops = read_hops(list, "1000");
  ASSERT_EQ(hops.routers.size(), HopTrace::kMaxHops);
  EXPECT_EQ(hops.routers[0], std::nullopt);
  EXPECT_EQ(hops.routers[2], ip("10.0.0.1"));
  EXPECT_EQ(hops.passed_count, HopTrace::kMaxHops);
  EXPECT_EQ(read_hops("", "-1").passed_count, 0U);
  EXPECT_EQ(read_hops("", "\"3\"").passed_count, 0U);
}

TEST(ReportDocument, WaysInThatNobodyKnowsAreLeftOut) {
  EXPECT_EQ(read(R"("reachable_over":["udp4","sctp6",4,"tcp6"])").ways_in,
            (WaysIn{.udp_v4 = true, .tcp_v6 = true}));
  EXPECT_EQ(read(R"("reachable_over":[])").ways_in, WaysIn());
  EXPECT_EQ(read(R"("reachable_over":"udp4")").ways_in, std::nullopt);
}

TEST(ReportDocument, TheVerdictOfAStrangerIsNotBelieved) {
  const auto report = read(R"("verdict":"direct","summary":"\u001b","fix":"rm -rf /")");
  EXPECT_EQ(advise(report).verdict, Verdict::offline);
}

}  // namespace
}  // namespace pyrsia::nat

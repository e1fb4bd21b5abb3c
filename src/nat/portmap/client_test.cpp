// What the mapper does not use of the protocols, and how questions are repeated.
#include "nat/portmap/fake_router.hpp"
#include "nat/portmap/nat_pmp_client.hpp"
#include "nat/portmap/pcp_client.hpp"
#include "nat/portmap/router.hpp"
#include "nat/portmap/upnp_client.hpp"
#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;

const IpAddress kNode = IpAddress::v4({192, 168, 1, 2});
const IpAddress kRouter = IpAddress::v4({192, 168, 1, 1});
const IpAddress kOutside = IpAddress::v4({73, 1, 2, 3});

/// A node and a router on one wire.
struct Lan {
  Lan()
      : node(net.add_host({.name = "node", .addresses = {"192.168.1.2"}})),
        box(net.add_host({.name = "router", .addresses = {"192.168.1.1"}})),
        router(box, kRouter, kOutside, [](const auto&, const auto&) {}),
        context{node, metrics, [this](std::string_view line) { trace.emplace_back(line); }} {
    EXPECT_TRUE(router.start());
  }
  ~Lan() { world.run(router.stop()); }

  template <class T>
  Result<T> run(Task<T> task) {
    auto [result] = world.run(with_timeout(node, 30s, std::move(task)));
    return std::move(result);
  }
  MapRequest request() const {
    MapRequest out;
    out.internal = {kNode, 44000};
    out.suggested.port = 44000;
    return out;
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& node;
  sim::SimHost& box;
  FakeRouter router;
  Metrics metrics;
  std::vector<std::string> trace;
  Context context;
  std::string why;
  Route route{kNode, kNode, kRouter};
};

TEST(PortmapClient, PeerLearnsTheOutsideOfAnOutgoingConnection) {
  Lan lan;
  pcp::PcpClient client(lan.context, lan.route, pcp::Nonce{1}, {});
  const auto request = lan.request();
  const Endpoint remote{IpAddress::v4({5, 6, 7, 8}), 443};
  const auto grant = lan.run(client.peer(request, remote, lan.why));
  ASSERT_TRUE(grant) << lan.why;
  EXPECT_EQ(grant->external, (Endpoint{kOutside, 44000}));
}

TEST(PortmapClient, ThirdPartyIsAskedForOnlyWhenSomebodySaysSo) {
  Lan lan;
  pcp::PcpClient client(lan.context, lan.route, pcp::Nonce{1}, {});
  const auto request = lan.request();
  EXPECT_TRUE(lan.run(client.map(request, std::nullopt, lan.why)));
  for (const auto& line : lan.trace) EXPECT_EQ(line.find(", for 192"), line.npos) << line;
  client.act_for(IpAddress::v4({192, 168, 1, 9}));
  EXPECT_TRUE(lan.run(client.map(request, std::nullopt, lan.why)));
  EXPECT_NE(lan.trace[lan.trace.size() - 2].find(", for 192.168.1.9"), std::string::npos);
}

TEST(PortmapClient, APcpMappingOfAnotherNonceIsNotOurs) {
  Lan lan;
  pcp::PcpClient first(lan.context, lan.route, pcp::Nonce{1}, {});
  pcp::PcpClient second(lan.context, lan.route, pcp::Nonce{2}, {});
  const auto request = lan.request();
  const auto grant = lan.run(first.map(request, std::nullopt, lan.why));
  ASSERT_TRUE(grant);
  EXPECT_EQ(lan.run(second.map(request, std::nullopt, lan.why)).error(), Errc::refused);
  EXPECT_EQ(lan.run(second.unmap(request, *grant, lan.why)).error(), Errc::refused);
  EXPECT_TRUE(lan.run(first.unmap(request, *grant, lan.why)));
  EXPECT_TRUE(lan.router.table.empty());
}

TEST(PortmapClient, AQuestionIsRepeatedWithLongerAndLongerPauses) {
  Lan lan;
  lan.box.crash();
  nat_pmp::NatPmpClient client(lan.context, lan.route, {});
  auto [result] = lan.world.run(with_timeout(lan.node, 5s, client.discover(lan.why)));
  EXPECT_EQ(result.error(), Errc::timed_out);
  EXPECT_EQ(lan.metrics.requests_sent.value(), 5U);  // At 0, 0.25, 0.75, 1.75, 3.75 s, about.
}

TEST(PortmapClient, ThePausesDoubleUpToTheirLimitWithATenthOfJitter) {
  const Retransmission plan{3s, 1024s};
  EXPECT_EQ(next_wait(Duration(0), plan, 100), 3s);
  EXPECT_EQ(next_wait(Duration(0), plan, 0), 2700ms);
  EXPECT_EQ(next_wait(Duration(0), plan, 200), 3300ms);
  EXPECT_EQ(next_wait(3s, plan, 100), 6s);
  EXPECT_EQ(next_wait(1000s, plan, 100), 1024s);
}

TEST(PortmapClient, AnAnswerFromAnotherAddressIsNoAnswer) {
  Lan lan;
  lan.box.crash();
  auto& liar = lan.net.add_host({.name = "liar", .addresses = {"192.168.1.66"}});
  const auto socket = liar.udp_bind({IpAddress::v4_any(), pcp::kServerPort});
  nat_pmp::NatPmpClient client(lan.context, lan.route, {});
  // It answers each port that a client may have.
  for (std::uint32_t port = 32768; port < 61000; ++port)
    EXPECT_TRUE((*socket)->send({kNode, static_cast<std::uint16_t>(port)},
                                nat_pmp::encode(nat_pmp::Response())));
  auto [result] = lan.world.run(with_timeout(lan.node, 1s, client.discover(lan.why)));
  EXPECT_EQ(result.error(), Errc::timed_out);
  EXPECT_EQ(lan.metrics.answers.value(), 0U);
}

TEST(PortmapClient, UpnpListsWhatTheRouterHas) {
  Lan lan;
  upnp::UpnpClient client(lan.context, lan.route, {}, {});
  for (std::uint16_t i = 0; i < 3; ++i) {
    auto request = lan.request();
    request.internal.port = request.suggested.port = static_cast<std::uint16_t>(44000 + i);
    request.transport = i == 1 ? Transport::udp : Transport::tcp;
    ASSERT_TRUE(lan.run(client.map(request, std::nullopt, lan.why))) << lan.why;
  }
  const auto list = lan.run(client.list(lan.why));
  ASSERT_TRUE(list) << lan.why;
  ASSERT_EQ(list->size(), 3U);
  EXPECT_EQ((*list)[2].transport, Transport::udp);
  EXPECT_EQ((*list)[2].internal, (Endpoint{kNode, 44001}));
  EXPECT_EQ((*list)[2].lifetime, 2h);
}

TEST(PortmapClient, UpnpOpensRenewsAndClosesAPinhole) {
  Lan lan;
  upnp::UpnpClient client(lan.context, lan.route, {}, {});
  auto request = lan.request();
  request.internal.ip = *IpAddress::parse("2a00::2");
  const auto grant = lan.run(client.map(request, std::nullopt, lan.why));
  ASSERT_TRUE(grant) << lan.why;
  EXPECT_EQ(grant->external, request.internal);
  EXPECT_EQ(grant->pinhole_id, 7U);
  EXPECT_TRUE(lan.run(client.map(request, *grant, lan.why)));
  EXPECT_TRUE(lan.run(client.unmap(request, *grant, lan.why)));
}

/// A node and a router that speak IPv6 with each other, and the router's address on the link.
struct LinkV6 {
  LinkV6() {
    router.does.checks_pinhole_client = true;
    EXPECT_TRUE(router.start());
  }
  ~LinkV6() { world.run(router.stop()); }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& node = net.add_host({.name = "node", .addresses = {"2a00::2"}});
  sim::SimHost& box = net.add_host({.name = "router", .addresses = {"2a00::1"}});
  FakeRouter router{box, *IpAddress::parse("2a00::1"), *IpAddress::parse("2a00::1"),
                    [](const auto&, const auto&) {}};
  Metrics metrics;
  Context context{node, metrics, {}};
  std::string why;
};

TEST(PortmapClient, UpnpOverIpv6AsksForItsOwnAddress) {
  LinkV6 link;
  const Route route{*IpAddress::parse("2a00::2"), *IpAddress::parse("2a00::2"),
                    *IpAddress::parse("2a00::1")};
  upnp::UpnpClient client(link.context, route, {}, {});
  MapRequest request;
  request.internal = {route.local, 44000};
  auto [grant] = link.world.run(client.map(request, std::nullopt, link.why));
  ASSERT_TRUE(grant) << link.why;
  EXPECT_EQ(grant->external, request.internal);
  EXPECT_EQ(grant->pinhole_id, 7U);
  request.internal.ip = *IpAddress::parse("2a00::3");
  auto [other] = link.world.run(client.map(request, std::nullopt, link.why));
  EXPECT_EQ(other.error(), Errc::refused);
}

TEST(PortmapClient, WhoIsNotOnTheLinkDescribesNoRouter) {
  LinkV6 link;
  link.router.does.description = "<root><device><serviceList></serviceList></device></root>";
  const Route route{*IpAddress::parse("2a00::2"), *IpAddress::parse("2a00::2"),
                    *IpAddress::parse("2a00::1")};
  upnp::UpnpClient client(link.context, route, {}, {});
  auto discovery = client.discover(link.why);
  auto [found] = link.world.run(with_timeout(link.node, 3s, std::move(discovery)));
  EXPECT_FALSE(found);
  EXPECT_NE(link.why.find("describes no gateway"), std::string::npos) << link.why;
}

TEST(PortmapClient, ProtocolsThatCannotListSaySo) {
  Lan lan;
  pcp::PcpClient pcp(lan.context, lan.route, pcp::Nonce{}, {});
  nat_pmp::NatPmpClient nat_pmp(lan.context, lan.route, {});
  EXPECT_EQ(lan.run(pcp.list(lan.why)).error(), Errc::not_supported);
  EXPECT_EQ(lan.run(nat_pmp.list(lan.why)).error(), Errc::not_supported);
}

TEST(PortmapClient, EachPacketIsSaidInWords) {
  Lan lan;
  nat_pmp::NatPmpClient client(lan.context, lan.route, {});
  ASSERT_TRUE(lan.run(client.discover(lan.why)));
  EXPECT_EQ(lan.trace,
            (std::vector<std::string>{
                "to 192.168.1.1:5351: NAT-PMP external address?",
                "from 192.168.1.1:5351: NAT-PMP Success: the external address is 73.1.2.3, epoch "
                "0 s"}));
}

TEST(PortmapClient, EachPacketOfUpnpIsSaidInWordsToo) {
  Lan lan;
  upnp::UpnpConfig config;
  config.asks_everybody = false;
  upnp::UpnpClient client(lan.context, lan.route, config, {});
  lan.router.does.replies = 2;
  ASSERT_TRUE(lan.run(client.discover(lan.why)));
  const auto count = [&](std::string_view start, std::string_view part) {
    return std::ranges::count_if(lan.trace, [&](const std::string& line) {
      return line.starts_with(start) && line.find(part) != line.npos;
    });
  };
  EXPECT_EQ(count("to 192.168.1.1:1900: SSDP M-SEARCH urn:", ""), 4);
  EXPECT_GE(count("from 192.168.1.1:1900: an Internet gateway, at http://192.168.1.1:", ""), 1);
  EXPECT_EQ(count("to http://192.168.1.1:", "/root.xml: HTTP GET"), 1);
  EXPECT_EQ(count("from http://192.168.1.1:", "/root.xml: HTTP status 200, "), 1);
  EXPECT_EQ(count("to http://", "/ip: UPnP GetStatusInfo"), 1);
  EXPECT_EQ(count("from http://", "GetStatusInfo done NewConnectionStatus=Connected"), 1);
  EXPECT_EQ(count("from http://", "GetExternalIPAddress done NewExternalIPAddress=73.1.2.3"), 1);
  ASSERT_TRUE(lan.run(client.map(lan.request(), std::nullopt, lan.why))) << lan.why;
  EXPECT_EQ(
      count("to http://", "AddPortMapping NewRemoteHost= NewExternalPort=44000 NewProtocol=TCP"),
      1);
  // What was sent and came, and no answer without a question.
  EXPECT_EQ(count("to http://", ""), count("from http://", ""));
}

TEST(PortmapClient, WhatCouldNotBeSentIsSaidInWords) {
  bool was_told = false;
  for (std::uint64_t failing = 0; failing < 20; ++failing) {
    Lan lan;
    nat_pmp::NatPmpClient client(lan.context, lan.route, {});
    lan.net.fail_operation(lan.net.operation_count() + failing);
    const auto found = lan.run(client.discover(lan.why));
    const auto is_told = std::ranges::any_of(lan.trace, [](const std::string& line) {
      return line.find("external address?, not sent: ") != line.npos;
    });
    EXPECT_TRUE(!found || !is_told);
    was_told = was_told || is_told;
  }
  EXPECT_TRUE(was_told);
}

TEST(PortmapClient, AProtocolThatIsNotWaitedForHasNotFailed) {
  Lan lan;
  lan.router.does.speaks_upnp = false;
  Router router(lan.context, {}, lan.route, lan.route, {Method::pcp, std::nullopt});
  ASSERT_TRUE(lan.run(router.map(lan.request(), lan.why))) << lan.why;
  lan.world.run(router.stop());
  ASSERT_EQ(router.attempts().back().method, Method::upnp);
  EXPECT_EQ(router.attempts().back().state, Attempt::State::asking);
}

}  // namespace
}  // namespace pyrsia::portmap

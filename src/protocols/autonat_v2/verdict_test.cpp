#include "protocols/autonat_v2/verdict.hpp"

#include "protocols/autonat_v2/contacted_ips.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::autonat_v2 {
namespace {

using namespace std::chrono_literals;

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

KeyPair key() {
  const std::array<std::uint8_t, 32> seed{};
  return KeyPair::from_seed(seed);
}

Asked asked(const std::string& address) {
  return {{{addr(address)}, 7}, 5, TimePoint(10s), {}};
}

ArrivedDialBack arrived_at(const std::string& local) {
  ArrivedDialBack out{{.id = 6,
                       .peer = key().peer_id(),
                       .peer_key = key().public_key(),
                       .direction = swarm::Direction::inbound,
                       .local = addr(local),
                       .remote = addr("/ip4/5.6.7.8/tcp/50000"),
                       .is_port_shared = true,
                       .security = "",
                       .muxer_protocol = "",
                       .opened_at = TimePoint(11s)},
                      false};
  return out;
}

constexpr DialResponse kOk{ResponseStatus::ok, 0, DialStatus::ok};
constexpr DialResponse kDialError{ResponseStatus::ok, 0, DialStatus::dial_error};
constexpr DialResponse kDialBackError{ResponseStatus::ok, 0, DialStatus::dial_back_error};
const std::string kTcp = "/ip4/9.9.9.9/tcp/4001";

TEST(AutonatV2Verdict, ReachableNeedsTheNonce) {
  const auto behind_nat = arrived_at("/ip4/192.168.1.5/tcp/44000");
  EXPECT_EQ(prove(asked(kTcp), kOk, &behind_nat).verdict, Reachability::reachable);
  EXPECT_EQ(prove(asked(kTcp), kOk, nullptr).verdict, Reachability::unknown);
  EXPECT_EQ(prove(asked(kTcp), kDialBackError, &behind_nat).verdict, Reachability::reachable);
  EXPECT_EQ(prove(asked(kTcp), kDialBackError, nullptr).verdict, Reachability::unknown);
}

TEST(AutonatV2Verdict, UnreachableNeedsADialErrorAndNoNonce) {
  EXPECT_EQ(prove(asked(kTcp), kDialError, nullptr).verdict, Reachability::unreachable);
  const auto contrary = arrived_at("/ip4/192.168.1.5/tcp/44000");
  EXPECT_EQ(prove(asked(kTcp), kDialError, &contrary).verdict, Reachability::unknown);
}

TEST(AutonatV2Verdict, RefusalsAndNonsenseProveNothing) {
  for (const auto status : {ResponseStatus::internal_error, ResponseStatus::request_rejected,
                            ResponseStatus::dial_refused}) {
    const auto proof = prove(asked(kTcp), {status, 0, DialStatus::dial_error}, nullptr);
    EXPECT_EQ(proof.verdict, Reachability::unknown);
    EXPECT_FALSE(proof.address);
  }
  const auto back = arrived_at("/ip4/192.168.1.5/tcp/44000");
  const DialResponse unused{ResponseStatus::ok, 0, DialStatus::unused};
  EXPECT_EQ(prove(asked(kTcp), unused, &back).verdict, Reachability::unknown);
  const DialResponse elsewhere{ResponseStatus::ok, 1, DialStatus::ok};
  EXPECT_FALSE(prove(asked(kTcp), elsewhere, &back).address);
}

TEST(AutonatV2Verdict, TheDialBackMustBeOfTheClaimedKind) {
  const auto is = [](const std::string& claimed, const std::string& local) {
    return is_consistent(asked(claimed), addr(claimed), arrived_at(local).connection);
  };
  EXPECT_TRUE(is(kTcp, "/ip4/10.0.0.1/tcp/1"));
  EXPECT_FALSE(is(kTcp, "/ip6/2600::1/tcp/4001"));
  EXPECT_FALSE(is(kTcp, "/ip4/10.0.0.1/udp/4001/quic-v1"));
  EXPECT_FALSE(is(kTcp, "/ip4/10.0.0.1/tcp/4001/ws"));
  EXPECT_TRUE(is("/ip4/9.9.9.9/udp/1/quic-v1", "/ip4/10.0.0.1/udp/4001/quic-v1"));
  EXPECT_TRUE(is("/ip4/9.9.9.9/tcp/443/wss", "/ip4/10.0.0.1/tcp/4001/tls/ws"));
  EXPECT_TRUE(is("/ip4/9.9.9.9/tcp/443/tls/sni/a.org/ws", "/ip4/10.0.0.1/tcp/4001/tls/ws"));
}

TEST(AutonatV2Verdict, TheDialBackMustBeANewDirectConnectionToUs) {
  const auto good = arrived_at("/ip4/10.0.0.1/tcp/1").connection;
  const auto question = asked(kTcp);
  EXPECT_TRUE(is_consistent(question, addr(kTcp), good));
  auto outbound = good;
  outbound.direction = swarm::Direction::outbound;
  EXPECT_FALSE(is_consistent(question, addr(kTcp), outbound));
  auto old = good;
  old.opened_at = TimePoint(9s);
  EXPECT_FALSE(is_consistent(question, addr(kTcp), old));
  auto same = good;
  same.id = question.over;
  EXPECT_FALSE(is_consistent(question, addr(kTcp), same));
  auto relayed = good;
  relayed.remote = addr("/ip4/5.6.7.8/tcp/1/p2p-circuit");
  EXPECT_FALSE(is_consistent(question, addr(kTcp), relayed));
}

TEST(AutonatV2Verdict, WhatComesTheWayThatOurOwnPacketsOpenedProvesNothing) {
  auto back = arrived_at("/ip4/192.168.1.5/tcp/44000");
  back.is_by_open_way = true;
  const auto proof = prove(asked(kTcp), kOk, &back);
  EXPECT_EQ(proof.verdict, Reachability::unknown);
  EXPECT_NE(proof.reason.find("our own packets"), std::string::npos);
}

TEST(AutonatV2Verdict, AtAnInterfaceOfOursItMustArriveExactlyThere) {
  auto question = asked(kTcp);
  question.interfaces = {{"eth0", IpAddress::v4({9, 9, 9, 9}), 24}};
  EXPECT_TRUE(is_consistent(question, addr(kTcp), arrived_at(kTcp).connection));
  const auto other_port = arrived_at("/ip4/9.9.9.9/tcp/4002").connection;
  EXPECT_FALSE(is_consistent(question, addr(kTcp), other_port));
  const auto other_ip = arrived_at("/ip4/10.0.0.1/tcp/4001").connection;
  EXPECT_FALSE(is_consistent(question, addr(kTcp), other_ip));
}

TEST(AutonatV2Inbox, ANonceIsTakenOnce) {
  DialBackInbox inbox;
  int arrivals = 0;
  EXPECT_FALSE(inbox.take(7, arrived_at(kTcp)));
  inbox.expect(7, [&] { ++arrivals; });
  EXPECT_EQ(inbox.arrived(7), nullptr);
  EXPECT_FALSE(inbox.take(8, arrived_at(kTcp)));
  EXPECT_TRUE(inbox.take(7, arrived_at(kTcp)));
  EXPECT_FALSE(inbox.take(7, arrived_at("/ip4/1.1.1.1/tcp/1")));
  EXPECT_EQ(inbox.arrived(7)->connection.local, addr(kTcp));
  inbox.forget(7);
  EXPECT_FALSE(inbox.take(7, arrived_at(kTcp)));
  EXPECT_EQ(arrivals, 1);
  EXPECT_EQ(inbox.size(), 0u);
}

TEST(AutonatV2ContactedIps, APortThatWasContactedIsKnownWithItsIpAndNoOther) {
  ContactedIps contacted;
  const Endpoint known{IpAddress::v4({5, 6, 7, 8}), 4001};
  contacted.add(known, true, TimePoint());
  EXPECT_TRUE(contacted.contains(known, true, TimePoint()));
  EXPECT_TRUE(contacted.contains(known.ip, true, TimePoint()));
  EXPECT_FALSE(contacted.contains(known, false, TimePoint()));
  EXPECT_FALSE(contacted.contains(Endpoint{known.ip, 4002}, true, TimePoint()));
}

TEST(AutonatV2ContactedIps, AreRememberedForTwoHoursAndInBoundedNumber) {
  ContactedIps ips;
  const auto number = [](std::uint32_t n) {
    return IpAddress::v4({5, std::uint8_t(n >> 16), std::uint8_t(n >> 8), std::uint8_t(n)});
  };
  ips.add(number(0), false, TimePoint(0s));
  EXPECT_TRUE(ips.contains(number(0), false, TimePoint(2h)));
  EXPECT_FALSE(ips.contains(number(0), true, TimePoint(2h)));
  EXPECT_FALSE(ips.contains(number(0), false, TimePoint(3h)));
  EXPECT_TRUE(ips.contains(*IpAddress::parse("::ffff:5.0.0.0"), false, TimePoint(1h)));
  for (std::uint32_t n = 1; n <= ContactedIps::kMaxIps; ++n)
    ips.add(number(n), false, TimePoint(1s));
  EXPECT_EQ(ips.size(), ContactedIps::kMaxIps);
  EXPECT_FALSE(ips.contains(number(0), false, TimePoint(2s)));
  EXPECT_TRUE(ips.contains(number(1), false, TimePoint(2s)));
}

TEST(AutonatV2ContactedIps, OfManyWithOneAddressTheLongestAgoIsForgotten) {
  ContactedIps ips;
  const auto number = [](std::uint32_t n) {
    return IpAddress::v4({5, std::uint8_t(n >> 16), std::uint8_t(n >> 8), std::uint8_t(n)});
  };
  constexpr std::uint32_t kCount = ContactedIps::kMaxIps;
  for (std::uint32_t n = 0; n < kCount; ++n)
    ips.add(number(n), false, TimePoint(1s) + Duration(kCount - n));
  ips.add(number(kCount), false, TimePoint(2s));
  EXPECT_FALSE(ips.contains(number(kCount - 1), false, TimePoint(2s)));
  EXPECT_TRUE(ips.contains(number(0), false, TimePoint(2s)));
}

TEST(AutonatV2ContactedIps, OneWithManyAddressesDisplacesOnlyItsOwn) {
  ContactedIps ips;
  const auto mine = *IpAddress::parse("192.0.2.1");
  ips.add(mine, false, TimePoint(0s));
  for (std::uint32_t n = 0; n < ContactedIps::kMaxIps + 100; ++n) {
    std::array<std::uint8_t, 16> ip{0x2a, 0x0e, 0, 1};
    ip[14] = std::uint8_t(n >> 8);
    ip[15] = std::uint8_t(n);
    ips.add(IpAddress::v6(ip), false, TimePoint(1s));
  }
  EXPECT_EQ(ips.size(), ContactedIps::kMaxIps);
  EXPECT_TRUE(ips.contains(mine, false, TimePoint(2s)));
}

}  // namespace
}  // namespace pyrsia::autonat_v2

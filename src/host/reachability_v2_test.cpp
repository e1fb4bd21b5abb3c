// What AutoNAT v2, strangers and NAT behaviour do to the verdicts; v1 alone is in
// reachability_test.cpp.
#include "base/ip_group.hpp"
#include "host/reachability_record.hpp"
#include "host/thin_waist.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;
using enum pyrsia::Reachability;
using Outcome = DialBack::Outcome;

Multiaddr addr(std::string_view text) {
  return *Multiaddr::parse(text);
}

const auto kTcp = addr("/ip4/5.6.7.8/tcp/4001");
const auto kWs = addr("/ip4/5.6.7.8/tcp/4001/ws");
const auto kQuic = addr("/ip4/5.6.7.8/udp/4001/quic-v1");

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

IpAddress server_ip(std::uint8_t number) {
  return IpAddress::v4({9, 9, number, 9});
}

DialBack dial_back(std::uint8_t server, const Multiaddr& address, Outcome outcome,
                   bool is_from_known_ip = true) {
  DialBack out{peer(server), server_ip(server), address, outcome, {}, is_from_known_ip, {}};
  // A sibling of the server dials, where the IP is fresh.
  if (outcome == Outcome::reached)
    out.dialed_from = is_from_known_ip ? server_ip(server) : server_ip(std::uint8_t(100 + server));
  return out;
}

struct ReachabilityV2Test : testing::Test {
  ReachabilityV2Test() { candidates({{kTcp, "observed", 2, 4001}}); }

  std::optional<StatusChanged> take(const ReachabilityInput& input) {
    now += 100ms;
    inputs.push_back({now, input});
    return tracker.take(input, now);
  }
  std::optional<StatusChanged> candidates(std::vector<CandidateAddress> all) {
    return take(Candidates{std::move(all)});
  }
  std::optional<StatusChanged> servers(int count) {
    KnownServers known;
    for (int i = 1; i <= count; ++i)
      known.networks.push_back(witness_network(server_ip(std::uint8_t(i))));
    return take(known);
  }
  AddressVerdict verdict(const Multiaddr& address) {
    for (const auto& one : tracker.report(now).addresses)
      if (one.address == address) return one;
    ADD_FAILURE() << "no candidate: " << address.to_string();
    return {};
  }

  TimePoint now{};
  ReachabilityTracker tracker;
  std::vector<RecordedInput> inputs;
};

TEST_F(ReachabilityV2Test, AFreshIpDecidesAtOnce) {
  servers(3);
  const auto change = take(dial_back(1, kTcp, Outcome::reached, false));
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, reachable);
  EXPECT_EQ(change->address, kTcp);
  EXPECT_FALSE(tracker.report(now).is_confirmed);

  take(dial_back(2, kTcp, Outcome::reached));
  take(dial_back(3, kTcp, Outcome::reached));
  EXPECT_TRUE(tracker.report(now).is_confirmed);
  EXPECT_EQ(tracker.report(now).reason,
            "reachable: /ip4/5.6.7.8/tcp/4001: 3 different networks reached it, last 0 s ago");
}

TEST_F(ReachabilityV2Test, ContactedServersAloneLeaveItUnknown) {
  servers(3);
  for (std::uint8_t server = 1; server < 4; ++server)
    EXPECT_FALSE(take(dial_back(server, kTcp, Outcome::reached)));
  EXPECT_EQ(tracker.status(), unknown);
  EXPECT_NE(tracker.report(now).reason.find("only peers that we have contacted can reach us"),
            std::string::npos);
  EXPECT_TRUE(tracker.may_advertise(kTcp));
  EXPECT_TRUE(verdict(kTcp).is_known_ip_only);
}

TEST_F(ReachabilityV2Test, AddressRestrictedFilteringIsNamed) {
  servers(3);
  take(dial_back(1, kTcp, Outcome::reached));
  take(dial_back(2, kTcp, Outcome::not_reached));
  const auto change = take(dial_back(3, kTcp, Outcome::not_reached));
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, unreachable);
  EXPECT_NE(change->reason.find("address-restricted filtering"), std::string::npos);
  EXPECT_FALSE(tracker.may_advertise(kTcp));
  EXPECT_FALSE(verdict(kTcp).is_known_ip_only);  // It is known.
}

TEST_F(ReachabilityV2Test, WhatIsNotTranslatedOrForwardedNeedsNoFreshIp) {
  servers(3);
  for (const auto* source : {"listen", "announced", "mapped"}) {
    candidates({{kTcp, source, 0, 4001}});
    take(dial_back(1, kTcp, Outcome::reached));
    EXPECT_EQ(tracker.status(), reachable) << source;
    candidates({});
    EXPECT_EQ(tracker.status(), unknown);
  }
}

TEST_F(ReachabilityV2Test, TheOnlyServerIsBelievedButNotConfirmed) {
  servers(1);
  take(dial_back(1, kTcp, Outcome::reached));
  const auto report = tracker.report(now);
  EXPECT_EQ(report.status, reachable);
  EXPECT_EQ(report.confidence, 1);
  EXPECT_NE(report.reason.find("provisional: only 1 network can be asked"), std::string::npos);
  EXPECT_NE(report.reason.find("all of them contacted by us before"), std::string::npos);
}

TEST_F(ReachabilityV2Test, AStrangerSettlesIt) {
  servers(3);
  take(dial_back(1, kTcp, Outcome::reached));
  EXPECT_EQ(tracker.status(), unknown);
  const auto change =
      take(StrangerConnected{IpAddress::v4({8, 8, 4, 4}), addr("/ip4/192.168.1.2/tcp/4001")});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, reachable);
  EXPECT_EQ(verdict(kTcp).evidence.front().what, "a stranger connected");
}

TEST_F(ReachabilityV2Test, AStrangerWhoMayHaveComeAnotherWaySettlesNothing) {
  servers(3);
  const auto other = addr("/ip4/5.6.7.9/tcp/4001");
  candidates({{kTcp, "observed", 2, 4001}, {other, "observed", 2, 4001}});
  const auto local = addr("/ip4/192.168.1.2/tcp/4001");
  take(StrangerConnected{IpAddress::v4({8, 8, 4, 4}), local});
  take(StrangerConnected{IpAddress::v4({5, 6, 7, 8}), local});  // From behind our own NAT.
  take(StrangerConnected{IpAddress::v4({8, 8, 4, 4}), addr("/ip4/192.168.1.2/tcp/4002")});
  take(StrangerConnected{IpAddress::v4({8, 8, 4, 4}), addr("/ip4/192.168.1.2/udp/4001/quic-v1")});
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityV2Test, TransportsOverOnePortShareAVerdictAndOthersDoNot) {
  servers(3);
  candidates(
      {{kTcp, "observed", 2, 4001}, {kWs, "observed", 2, 4001}, {kQuic, "observed", 2, 4001}});
  take(dial_back(1, kWs, Outcome::reached, false));
  EXPECT_EQ(verdict(kTcp).status, reachable);
  EXPECT_EQ(verdict(kWs).status, reachable);
  EXPECT_EQ(verdict(kQuic).status, unknown);
}

TEST_F(ReachabilityV2Test, ANodeIsPrivateOnlyIfEachAddressIs) {
  servers(3);
  candidates({{kTcp, "observed", 2, 4001}, {kQuic, "observed", 2, 4001}});
  for (std::uint8_t server = 1; server < 4; ++server)
    take(dial_back(server, kTcp, Outcome::not_reached));
  EXPECT_EQ(verdict(kTcp).status, unreachable);
  EXPECT_EQ(tracker.status(), unknown);  // Somebody may yet answer about QUIC.
  now += 8s;
  const auto change = take(TimePassed());
  ASSERT_TRUE(change);  // Nobody has.
  EXPECT_EQ(change->new_status, unreachable);
}

TEST_F(ReachabilityV2Test, ASymmetricNatIsKnownBeforeAnybodyHasDialed) {
  const auto change = take(NatMapping{false, false, PortMapping::endpoint_dependent, 3});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, unreachable);
  EXPECT_EQ(tracker.confidence(), 3);
  EXPECT_NE(change->reason.find("another port for each peer"), std::string::npos);
  // A forwarded port is not concerned.
  candidates({{kTcp, "observed", 2, 4001}, {addr("/ip4/5.6.7.8/tcp/99"), "mapped", 0, 4001}});
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityV2Test, RefusalsDecideNothing) {
  servers(3);
  take(dial_back(1, kTcp, Outcome::reached, false));
  for (int i = 0; i < 100; ++i) {
    auto refused = dial_back(std::uint8_t(1 + i % 3), kTcp, Outcome::no_evidence);
    refused.text = "E_DIAL_REFUSED";
    EXPECT_FALSE(take(refused));
  }
  EXPECT_EQ(tracker.status(), reachable);
  EXPECT_EQ(tracker.confidence(), 1);
}

TEST_F(ReachabilityV2Test, V1FillsInOnlyWhileV2HasNothing) {
  autonat::ProbeResult v1{peer(1), server_ip(1), autonat::Status::dial_error, "", {}, {kTcp}};
  const auto first = take(ServerAnswer{v1, true});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->new_status, unreachable);
  servers(3);
  EXPECT_TRUE(take(dial_back(2, kTcp, Outcome::reached, false)));
  EXPECT_EQ(tracker.status(), reachable);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(take(ServerAnswer{v1, true}));
  EXPECT_EQ(tracker.status(), reachable);
}

TEST_F(ReachabilityV2Test, ALostForwardIsPutToOthersAtOnce) {
  servers(3);
  for (std::uint8_t server = 1; server < 4; ++server)
    take(dial_back(server, kTcp, Outcome::reached, false));
  EXPECT_TRUE(tracker.take_doubted().empty());
  take(Doubt{"a port mapping is gone"});
  EXPECT_EQ(tracker.take_doubted(), std::vector{kTcp});
  take(dial_back(1, kTcp, Outcome::not_reached));
  EXPECT_EQ(tracker.take_doubted(), std::vector{kTcp});
  take(dial_back(2, kTcp, Outcome::not_reached));
  EXPECT_EQ(tracker.status(), reachable);
  const auto change = take(dial_back(3, kTcp, Outcome::not_reached));
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, unreachable);
}

TEST_F(ReachabilityV2Test, AddressChangesAreToldOnce) {
  servers(3);
  tracker.take_address_changes();
  for (std::uint8_t server = 1; server < 4; ++server)
    take(dial_back(server, kTcp, Outcome::reached, false));
  const auto changes = tracker.take_address_changes();
  ASSERT_EQ(changes.size(), 2U);  // Provisional, then confirmed.
  EXPECT_FALSE(changes[0].is_confirmed);
  EXPECT_TRUE(changes[1].is_confirmed);
  EXPECT_EQ(changes[0].evidence.size(), 1U);
  ASSERT_EQ(changes[1].evidence.size(), 3U);
  EXPECT_EQ(changes[1].evidence[0].says, reachable);
  EXPECT_NE(changes[1].evidence[0].who, changes[1].evidence[1].who);
  EXPECT_TRUE(tracker.take_address_changes().empty());
}

/// Any input, from a small world so that things meet.
ReachabilityInput any_input(std::mt19937& random) {
  const Multiaddr all[] = {kTcp, kWs, kQuic, addr("/ip4/5.6.7.9/tcp/4001"),
                           addr("/ip6/2a01::1/tcp/4001")};
  const auto address = [&] { return all[random() % 5]; };
  const auto server = std::uint8_t(1 + random() % 7);
  switch (random() % 12) {
    case 0: {
      Candidates input;
      const char* sources[] = {"listen", "observed", "mapped", "announced"};
      for (std::size_t i = random() % 4; i > 0; --i)
        input.addresses.push_back({address(), sources[random() % 4], random() % 4, 4001});
      return input;
    }
    case 1: {
      const autonat::Status all_statuses[] = {autonat::Status::ok, autonat::Status::dial_error,
                                              autonat::Status::dial_refused};
      autonat::ProbeResult result{
          peer(server), server_ip(server), all_statuses[random() % 3], "50% | why",
          {},           {address()}};
      if (result.status == autonat::Status::ok) result.address = address();
      return ServerAnswer{result, random() % 2 == 0};
    }
    case 2:
      return StrangerConnected{IpAddress::v4({8, 8, std::uint8_t(random() % 4), 8}), address()};
    case 3:
      return NatMapping{random() % 2 == 0, random() % 2 == 0, PortMapping(random() % 3),
                        random() % 4};
    case 4: {
      KnownServers input;
      for (std::size_t i = random() % 5; i > 0; --i)
        input.networks.push_back(witness_network(server_ip(std::uint8_t(i))));
      return input;
    }
    case 5: return Doubt{"why not"};
    case 6: return TimePassed();
    default: return dial_back(server, address(), Outcome(random() % 3), random() % 2 == 0);
  }
}

std::map<Multiaddr, Reachability> verdicts(const ReachabilityTracker& tracker, TimePoint now) {
  std::map<Multiaddr, Reachability> out;
  for (const auto& one : tracker.report(now).addresses) out[one.address] = one.status;
  return out;
}

TEST(ReachabilityV2Properties, NoAddressIsReachableWithoutPositiveEvidenceOnIt) {
  std::size_t reachable_count = 0;
  for (unsigned seed = 0; seed < 15; ++seed) {
    std::mt19937 random(seed);
    ReachabilityTracker tracker;
    TimePoint now(1s);
    std::set<Multiaddr> reached;  // By AutoNAT v2: of a port, whatever runs over it.
    std::set<Multiaddr> reached_by_v1;
    for (int step = 0; step < 150; ++step) {
      now += std::chrono::milliseconds(random() % 60'000);
      const auto input = any_input(random);
      if (std::holds_alternative<StrangerConnected>(input)) continue;  // On whichever it may be.
      const auto* dialed = std::get_if<DialBack>(&input);
      if (dialed && dialed->outcome == Outcome::reached)
        reached.insert(thin_waist(dialed->address));
      const auto* answer = std::get_if<ServerAnswer>(&input);
      if (answer && answer->result.address) reached_by_v1.insert(*answer->result.address);
      tracker.take(input, now);
      for (const auto& [address, status] : verdicts(tracker, now)) {
        if (status != reachable) continue;
        ++reachable_count;
        ASSERT_TRUE(reached.contains(thin_waist(address)) || reached_by_v1.contains(address))
            << seed << " " << address.to_string();
      }
    }
  }
  EXPECT_GT(reachable_count, 100U);
}

TEST(ReachabilityV2Properties, WhatIsNoEvidenceTurnsNoVerdict) {
  std::size_t count = 0;
  for (unsigned seed = 0; seed < 15; ++seed) {
    std::mt19937 random(seed);
    ReachabilityTracker tracker;
    TimePoint now(1s);
    for (int step = 0; step < 150; ++step) {
      now += std::chrono::milliseconds(random() % 60'000);
      const auto input = any_input(random);
      const auto* dialed = std::get_if<DialBack>(&input);
      const auto* answer = std::get_if<ServerAnswer>(&input);
      const bool is_none = (dialed && dialed->outcome == Outcome::no_evidence) ||
                           (answer && answer->result.status == autonat::Status::dial_refused);
      tracker.tick(now);  // Time may turn one.
      const auto before = verdicts(tracker, now);
      const auto node_before = tracker.status();
      const auto change = tracker.take(input, now);
      if (!is_none) continue;
      ++count;
      ASSERT_FALSE(change) << seed;
      ASSERT_EQ(tracker.status(), node_before) << seed;
      ASSERT_EQ(verdicts(tracker, now), before) << seed;
    }
  }
  EXPECT_GT(count, 100U);
}

TEST(ReachabilityV2Properties, HoldForAnySequence) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    ReachabilityTracker tracker;
    TimePoint now(1s);
    std::string recording(kRecordHeader);
    bool has_positive = false;
    std::vector<StatusChanged> changes;
    for (int step = 0; step < 150; ++step) {
      now += std::chrono::milliseconds(random() % 60'000);
      const auto input = any_input(random);
      const auto* dialed = std::get_if<DialBack>(&input);
      const auto* answer = std::get_if<ServerAnswer>(&input);
      has_positive |= std::holds_alternative<StrangerConnected>(input) ||
                      (dialed && dialed->outcome == Outcome::reached) ||
                      (answer && answer->result.address);
      recording += "\n" + to_line({now, input});
      const auto before = tracker.status();
      const auto change = tracker.take(input, now);
      if (change) changes.push_back(*change);
      // Never reachable without positive evidence; refusals turn nothing.
      if (!has_positive) {
        ASSERT_NE(tracker.status(), reachable) << seed;
      }
      ASSERT_EQ(change.has_value(), before != tracker.status());
      if (change) {
        ASSERT_EQ(change->old_status, before);
        ASSERT_EQ(change->new_status, tracker.status());
        ASSERT_FALSE(change->reason.empty());
      }
      ASSERT_EQ(tracker.public_address().has_value(), tracker.status() == reachable);
      const auto report = tracker.report(now);
      ASSERT_LE(report.addresses.size(), 64U);
      ASSERT_FALSE(report.reason.empty());
      for (const auto& one : report.addresses) ASSERT_LE(one.evidence.size(), 17U);
      ASSERT_LE(tracker.take_address_changes().size(), 256U);
    }
    // The same told again ends the same: also what a state machine of tomorrow may be given.
    std::size_t bad_line = 0;
    const auto again = replay(recording, &bad_line);
    ASSERT_TRUE(again) << bad_line;
    ASSERT_EQ(again->changes.size(), changes.size()) << seed;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      ASSERT_EQ(again->changes[i].second.new_status, changes[i].new_status);
      ASSERT_EQ(again->changes[i].second.reason, changes[i].reason);
    }
    ASSERT_EQ(again->report.reason, tracker.report(now).reason);
  }
}

TEST(ReachabilityRecord, BadLinesAreRefusedByNumber) {
  std::size_t bad_line = 0;
  const std::string header(kRecordHeader);
  EXPECT_EQ(replay("", &bad_line).error(), Errc::not_supported);
  EXPECT_EQ(replay("pyrsia-evidence/2\n", &bad_line).error(), Errc::not_supported);
  for (const auto* bad :
       {"x time", "1", "1 nothing", "1 time 2", "1 mapping 0 0 3 1", "1 mapping 0 0 1",
        "1 stranger - /ip4/1.2.3.4/tcp/1", "1 dial_back",
        "1 candidates /ip4/1.2.3.4/tcp/1|listen|0", "1 candidates /ip4/1.2.3.4|listen|0|65536",
        "1 doubt %4", "1 doubt %4g", "5 time\n4 time"}) {
    EXPECT_EQ(replay(header + "\n1 time\n" + bad, &bad_line).error(), Errc::malformed) << bad;
    EXPECT_GE(bad_line, 3U);
  }
  const std::string huge(kMaxRecordLineBytes + 1, '1');
  EXPECT_EQ(from_line(huge).error(), Errc::too_large);
}

}  // namespace
}  // namespace pyrsia::host

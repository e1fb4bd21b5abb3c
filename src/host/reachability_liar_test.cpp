// What one peer that lies, or several of one network, cannot do to the verdicts.
#include "base/ip_group.hpp"
#include "host/observed_addresses.hpp"
#include "host/reachability.hpp"
#include "host/thin_waist.hpp"

#include <gtest/gtest.h>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;
using enum pyrsia::Reachability;
using Outcome = DialBack::Outcome;

Multiaddr addr(std::string_view text) {
  return *Multiaddr::parse(text);
}

const auto kOurs = addr("/ip4/5.6.7.8/tcp/4001");
const auto kVictim = addr("/ip4/7.7.7.7/tcp/4001");
const auto kListener = addr("/ip4/192.168.1.2/tcp/4001");
constexpr std::uint8_t kLiar = 9;

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

IpAddress ip_of(std::uint8_t server) {
  return IpAddress::v4({9, 9, server, 9});
}

/// Addresses of one /48, each in a /56 of its own.
IpAddress ip_of_site(int number) {
  return *IpAddress::parse("2a01:4f8:1:" + std::to_string(number) + "00::1");
}

struct ReachabilityLiarTest : testing::Test {
  ReachabilityLiarTest() { candidates({{kOurs, "observed", 3, 4001}}); }

  std::optional<StatusChanged> take(const ReachabilityInput& input) {
    now += 100ms;
    return tracker.take(input, now);
  }
  void candidates(std::vector<CandidateAddress> all) { take(Candidates{std::move(all)}); }
  void servers(std::vector<std::uint8_t> numbers) {
    KnownServers known;
    for (const auto number : numbers) known.networks.push_back(witness_network(ip_of(number)));
    take(known);
  }
  std::optional<StatusChanged> says(std::uint8_t server, Outcome outcome, const Multiaddr& of,
                                    bool is_from_known_ip = false) {
    DialBack word{peer(server), ip_of(server), of, outcome, {}, is_from_known_ip, {}};
    if (outcome == Outcome::reached) word.dialed_from = IpAddress::v4({8, 8, server, 8});
    return take(word);
  }
  void all_reach_us() {
    servers({1, 2, 3, kLiar});
    for (const std::uint8_t server : {1, 2, 3}) says(server, Outcome::reached, kOurs);
  }
  Reachability status_of(const Multiaddr& address) {
    for (const auto& one : tracker.report(now).addresses)
      if (one.address == address) return one.status;
    return unknown;
  }

  TimePoint now{};
  ReachabilityTracker tracker;
};

TEST_F(ReachabilityLiarTest, AFailureThatOthersGainsayDoesNotRipen) {
  servers({1, 2, kLiar});
  says(1, Outcome::reached, kOurs, true);
  says(2, Outcome::reached, kOurs, true);
  says(kLiar, Outcome::not_reached, kOurs);
  now += 1min;
  take(TimePassed());
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityLiarTest, ASecondServerAloneDoesNotCallUsUnreachable) {
  servers({1});
  says(1, Outcome::reached, kOurs, true);
  EXPECT_EQ(tracker.status(), reachable);
  servers({1, kLiar});
  says(kLiar, Outcome::not_reached, kOurs);
  now += 1min;
  take(TimePassed());
  EXPECT_NE(tracker.status(), unreachable);
}

TEST_F(ReachabilityLiarTest, WhoIsLeftAloneDoesNotTurnWhatThreeHaveConfirmed) {
  all_reach_us();
  servers({kLiar});
  for (int i = 0; i < 20; ++i) says(kLiar, Outcome::not_reached, kOurs);
  EXPECT_EQ(tracker.status(), reachable);
}

TEST_F(ReachabilityLiarTest, AnIpv6SiteIsOneWitness) {
  KnownServers known;
  for (int i = 1; i < 4; ++i) known.networks.push_back(witness_network(ip_of_site(i)));
  take(known);
  for (int i = 1; i < 4; ++i)
    take(DialBack{peer(std::uint8_t(i)), ip_of_site(i), kOurs, Outcome::not_reached, {}, true, {}});
  EXPECT_EQ(tracker.status(), unknown);
  for (int i = 1; i < 4; ++i) take(StrangerConnected{ip_of_site(i), kListener});
  EXPECT_EQ(tracker.status(), reachable);
  EXPECT_FALSE(tracker.report(now).is_confirmed);
}

TEST_F(ReachabilityLiarTest, AStrangerVouchesForNoAddressThatOneNetworkAloneHasSeen) {
  candidates({{kVictim, "observed", 1, 4001}});
  take(StrangerConnected{ip_of(kLiar), kListener});
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityLiarTest, WhoIsAloneAgainstThreeIsOutvotedForGood) {
  candidates({{kOurs, "observed", 3, 4001}, {kVictim, "observed", 1, 4001}});
  servers({1, 2, 3, kLiar});
  says(kLiar, Outcome::reached, kVictim);
  std::size_t lies_believed = 0;
  for (int round = 0; round < 20; ++round) {
    for (const std::uint8_t server : {1, 2, 3}) says(server, Outcome::not_reached, kVictim);
    says(kLiar, Outcome::reached, kVictim);
    lies_believed += status_of(kVictim) == reachable;
  }
  EXPECT_LE(lies_believed, 1U);
  // Another one may say it, and then it counts.
  says(2, Outcome::reached, kVictim);
  EXPECT_EQ(status_of(kVictim), reachable);
}

TEST_F(ReachabilityLiarTest, TheOutvotedAreHeardAgainAfterAWhile) {
  servers({1, 2, 3, kLiar});
  says(kLiar, Outcome::reached, kOurs);
  for (int i = 0; i < 2; ++i)
    for (const std::uint8_t server : {1, 2, 3}) says(server, Outcome::not_reached, kOurs);
  EXPECT_EQ(tracker.status(), unreachable);
  now += 16min;
  says(kLiar, Outcome::reached, kOurs);
  EXPECT_EQ(tracker.status(), reachable);
}

TEST_F(ReachabilityLiarTest, AContraryWordIsPutToOthersSoManyTimesAMinuteOnly) {
  all_reach_us();
  std::size_t doubts = 0;
  for (int i = 0; i < 600; ++i) {  // Two minutes of a liar who is asked whenever others are.
    says(kLiar, Outcome::not_reached, kOurs);
    doubts += tracker.take_doubted().size();
    says(1, Outcome::reached, kOurs);
  }
  EXPECT_GE(doubts, 1U);
  EXPECT_LE(doubts, 36U);  // Two minutes touch three.
  EXPECT_EQ(tracker.status(), reachable);
}

TEST_F(ReachabilityLiarTest, OneWhoSeesUsElsewhereDoesNotMoveUs) {
  all_reach_us();
  candidates({{kVictim, "observed", 1, 4001}});
  EXPECT_EQ(tracker.public_address(), kOurs);
  candidates({{kVictim, "observed", 2, 4001}});
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityLiarTest, TwoWhoDisagreeOnOurPortMakeNoSymmetricNat) {
  servers({1, kLiar});
  take(NatMapping{false, false, PortMapping::endpoint_dependent, 2});
  EXPECT_EQ(tracker.status(), unknown);
}

/// What peers of `networks` say of the port of one listener.
struct PortMappingLiarTest : testing::Test {
  void sees(const std::string& ip, std::uint16_t port) {
    const auto remote = addr("/ip4/" + ip + "/tcp/4001");
    const auto key = *PublicKey::make(KeyType::ed25519, Bytes(32, 7));
    const swarm::ConnectionInfo connection{
        ++last_id, peer(1), key, swarm::Direction::outbound, kListener, remote, true, "", "", {}};
    observed.add(connection, kOurs.with_port(port), {kListener}, {});
  }

  AddressClassifier classifier;
  ObservedAddresses observed{classifier};
  swarm::ConnectionId last_id = 0;
};

TEST_F(PortMappingLiarTest, ManyPeersOfOneNetworkMakeNoSymmetricNat) {
  for (const auto* honest : {"9.9.1.9", "9.9.2.9", "9.9.3.9"}) sees(honest, 4001);
  for (int i = 1; i < 20; ++i) sees("6.6.6." + std::to_string(i), std::uint16_t(i));
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::endpoint_independent);
  EXPECT_EQ(observed.port_mapping(false, false).networks, 4U);
}

TEST_F(PortMappingLiarTest, ASymmetricNatIsSeenAllTheSame) {
  sees("9.9.1.9", 1);
  sees("9.9.2.9", 2);
  sees("9.9.3.9", 3);
  sees("9.9.3.8", 4);
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::endpoint_dependent);
  EXPECT_EQ(observed.port_mapping(false, false).networks, 3U);
}

}  // namespace
}  // namespace pyrsia::host

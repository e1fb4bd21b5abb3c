#include "host/observed_addresses.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;
using swarm::Direction;

Multiaddr addr(std::string_view text) {
  return *Multiaddr::parse(text);
}

const PublicKey& some_key() {
  static const auto key = *PublicKey::make(KeyType::ed25519, Bytes(32, 7));
  return key;
}

/// A connection from our listener's port 4001 (or another port) to `remote`.
swarm::ConnectionInfo connection(swarm::ConnectionId id, std::string_view remote,
                                 bool is_port_shared, Direction direction) {
  const auto local = is_port_shared ? "/ip4/192.168.1.5/tcp/4001" : "/ip4/192.168.1.5/tcp/50123";
  return {id,           some_key().peer_id(), some_key(), direction,      addr(local),
          addr(remote), is_port_shared,       "/noise",   "/yamux/1.0.0", {}};
}

swarm::ConnectionInfo outbound(swarm::ConnectionId id, std::string_view remote) {
  return connection(id, remote, true, Direction::outbound);
}

const std::vector<Multiaddr> kListen{addr("/ip4/192.168.1.5/tcp/4001")};
const auto kSeen = addr("/ip4/5.6.7.8/tcp/33333");

struct ObservedAddressesTest : testing::Test {
  AddressClassifier classifier;
  ObservedAddresses observed{classifier};
};

TEST_F(ObservedAddressesTest, SharedPortMeansThatTheObservedPortIsOurs) {
  EXPECT_TRUE(observed.add(outbound(1, "/ip4/9.9.9.9/tcp/4001"), kSeen, kListen, TimePoint(1s)));

  const auto all = observed.candidates(1);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].external.to_string(), "5.6.7.8:33333");
  EXPECT_EQ(all[0].local_port, 4001);
  EXPECT_TRUE(all[0].is_port_observed);
}

TEST_F(ObservedAddressesTest, OtherPortMeansObservedIpAndListenPort) {
  const auto dialed = connection(1, "/ip4/9.9.9.9/tcp/4001", false, Direction::outbound);
  EXPECT_TRUE(observed.add(dialed, kSeen, kListen, TimePoint(1s)));

  const auto all = observed.candidates(1);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].external.to_string(), "5.6.7.8:4001");
  EXPECT_FALSE(all[0].is_port_observed);
}

TEST_F(ObservedAddressesTest, PeersOfOneNetworkAreOneObserver) {
  observed.add(outbound(1, "/ip4/9.9.9.1/tcp/4001"), kSeen, kListen, {});
  observed.add(outbound(2, "/ip4/9.9.9.2/tcp/4001"), kSeen, kListen, {});
  EXPECT_EQ(observed.candidates(1).at(0).observers, 1u);
  EXPECT_TRUE(observed.candidates(2).empty());

  observed.add(outbound(3, "/ip4/9.9.10.1/tcp/4001"), kSeen, kListen, {});
  EXPECT_EQ(observed.candidates(2).at(0).observers, 2u);
}

TEST_F(ObservedAddressesTest, VotesEndWithTheirConnection) {
  observed.add(outbound(1, "/ip4/9.9.9.1/tcp/4001"), kSeen, kListen, {});
  observed.add(outbound(2, "/ip4/9.9.9.2/tcp/4001"), kSeen, kListen, {});

  EXPECT_TRUE(observed.remove(1));
  EXPECT_EQ(observed.candidates(1).size(), 1u);
  EXPECT_TRUE(observed.remove(2));
  EXPECT_TRUE(observed.candidates(1).empty());
  EXPECT_FALSE(observed.remove(2));
}

TEST_F(ObservedAddressesTest, PassesOverWhatProvesNothing) {
  const auto direct = outbound(1, "/ip4/9.9.9.9/tcp/4001");
  EXPECT_FALSE(observed.add(direct, addr("/ip4/127.0.0.1/tcp/1"), kListen, {}));
  EXPECT_FALSE(observed.add(direct, addr("/ip4/192.168.1.5/tcp/1"), kListen, {}));
  EXPECT_FALSE(observed.add(direct, addr("/ip4/5.6.7.8/tcp/0"), kListen, {}));
  EXPECT_FALSE(observed.add(direct, addr("/ip4/5.6.7.8/udp/5"), kListen, {}));
  EXPECT_FALSE(observed.add(direct, addr("/ip6/2a00::1/tcp/5"), kListen, {}));
  EXPECT_FALSE(observed.add(direct, kSeen, {}, {}));  // We listen nowhere.
  EXPECT_FALSE(observed.add(outbound(2, "/ip4/192.168.1.9/tcp/1"), kSeen, kListen, {}));
  EXPECT_FALSE(observed.add(outbound(3, "/ip4/127.0.0.1/tcp/1"), kSeen, kListen, {}));
  auto relayed = direct;
  relayed.remote = addr("/ip4/9.9.9.9/tcp/4001/p2p-circuit");
  EXPECT_FALSE(observed.add(relayed, kSeen, kListen, {}));
  EXPECT_EQ(observed.connection_count(), 0u);
}

const std::vector<Multiaddr> kQuicListen{addr("/ip4/192.168.1.5/udp/4001/quic-v1")};

StunWord word_of(const char* server, std::uint16_t mapped_port) {
  return {{*IpAddress::parse(server), 3478}, 4001, {*IpAddress::parse("5.6.7.8"), mapped_port}};
}

TEST_F(ObservedAddressesTest, AStunServersWordCountsUntilItSaysOtherwiseOrIsOld) {
  EXPECT_TRUE(observed.add(word_of("9.9.9.1", 33333), kQuicListen, TimePoint(0s)));
  EXPECT_FALSE(observed.add(word_of("9.9.9.1", 33333), kQuicListen, TimePoint(1s)));
  EXPECT_TRUE(observed.add(word_of("9.9.8.1", 33333), kQuicListen, TimePoint(1s)));
  auto all = observed.candidates(1);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].observers, 2u);
  EXPECT_TRUE(all[0].is_udp && all[0].is_port_observed);
  EXPECT_EQ(observed.port_mapping(false, true).mapping, PortMapping::endpoint_independent);
  EXPECT_EQ(observed.connection_count(), 0u);

  EXPECT_TRUE(observed.add(word_of("9.9.8.1", 44444), kQuicListen, TimePoint(2s)));
  EXPECT_EQ(observed.candidates(1).size(), 2u);
  EXPECT_EQ(observed.port_mapping(false, true).mapping, PortMapping::endpoint_dependent);

  EXPECT_FALSE(observed.expire(TimePoint(10min)));
  EXPECT_TRUE(observed.expire(TimePoint(11min + 1s)));
  EXPECT_EQ(observed.candidates(1).size(), 1u);
  EXPECT_TRUE(observed.expire(TimePoint(12min)));
  EXPECT_TRUE(observed.candidates(1).empty());
}

TEST_F(ObservedAddressesTest, StunServersAreFewAndOutside) {
  EXPECT_FALSE(observed.add(word_of("192.168.1.9", 33333), kQuicListen, {}));
  EXPECT_FALSE(observed.add(word_of("9.9.9.1", 0), kQuicListen, {}));
  EXPECT_FALSE(observed.add(word_of("9.9.9.1", 33333), kListen, {}));  // No QUIC there.
  for (int i = 0; i < 40; ++i) {
    const auto server = "9.9." + std::to_string(i) + ".1";
    observed.add(word_of(server.c_str(), 33333), kQuicListen, {});
  }
  EXPECT_EQ(observed.candidates(1).at(0).observers, 16u);
}

TEST_F(ObservedAddressesTest, TrailingPeerIdsAreTolerated) {
  const auto id = some_key().peer_id().to_string();
  const auto doubled = addr("/ip4/5.6.7.8/tcp/33333/p2p/" + id + "/p2p/" + id);
  EXPECT_TRUE(observed.add(outbound(1, "/ip4/9.9.9.9/tcp/4001"), doubled, kListen, {}));
  EXPECT_EQ(observed.candidates(1).at(0).external.port, 33333);
}

TEST_F(ObservedAddressesTest, MostVotesComeFirstAndThreeForAListener) {
  for (int i = 1; i <= 5; ++i) {
    const auto seen = kSeen.with_port(std::uint16_t(30000 + i));
    const auto remote = "/ip4/9.9." + std::to_string(i) + ".9/tcp/4001";
    observed.add(outbound(std::uint64_t(i), remote), seen, kListen, TimePoint(1s * i));
  }
  observed.add(outbound(6, "/ip4/9.10.9.9/tcp/1"), kSeen.with_port(30005), kListen, {});

  const auto all = observed.candidates(1);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].external.port, 30005);
  EXPECT_EQ(all[1].external.port, 30001);
  EXPECT_EQ(all[2].external.port, 30002);
}

TEST_F(ObservedAddressesTest, TellsApartNatsByThePortsThatPeersSee) {
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::unknown);
  observed.add(outbound(1, "/ip4/9.9.1.9/tcp/4001"), kSeen, kListen, {});
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::unknown);

  observed.add(outbound(2, "/ip4/9.9.2.9/tcp/4001"), kSeen, kListen, {});
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::endpoint_independent);

  observed.remove(2);
  observed.add(outbound(2, "/ip4/9.9.2.9/tcp/4001"), kSeen.with_port(2), kListen, {});
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::endpoint_dependent);
  EXPECT_EQ(observed.port_mapping(true, false).mapping, PortMapping::unknown);
}

TEST_F(ObservedAddressesTest, InboundConnectionsSayNothingOfThePortMapping) {
  for (std::uint64_t i = 1; i < 4; ++i) {
    const auto seen = kSeen.with_port(std::uint16_t(i));
    const auto remote = "/ip4/9.9." + std::to_string(i) + ".9/tcp/4001";
    EXPECT_TRUE(observed.add(connection(i, remote, true, Direction::inbound), seen, kListen, {}));
  }
  EXPECT_EQ(observed.port_mapping(false, false).mapping, PortMapping::unknown);
}

TEST_F(ObservedAddressesTest, ScopeDecidesWhatCounts) {
  const AddressClassifier local(AddressClass::loopback);
  ObservedAddresses here(local);
  const std::vector<Multiaddr> listen{addr("/ip4/127.0.0.1/tcp/4001")};
  auto one = outbound(1, "/ip4/127.0.0.1/tcp/9000");
  one.local = listen[0];

  EXPECT_TRUE(here.add(one, addr("/ip4/127.0.0.1/tcp/4001"), listen, {}));
  EXPECT_EQ(here.candidates(1).size(), 1u);
}

TEST_F(ObservedAddressesTest, NoPeerCanFillTheTables) {
  ObservedAddresses small(classifier, {.connections = 100, .addresses = 10});
  std::mt19937 random(1);
  for (std::uint64_t id = 0; id < 1000; ++id) {
    const auto remote = "/ip4/9." + std::to_string(random() % 200) + ".9.9/tcp/4001";
    small.add(outbound(id, remote), kSeen.with_port(std::uint16_t(1 + id)), kListen, {});
    ASSERT_LE(small.connection_count(), 100u);
  }
  EXPECT_LE(small.candidates(1).size(), 3u);
  for (std::uint64_t id = 0; id < 1000; ++id) small.remove(id);
  EXPECT_EQ(small.connection_count(), 0u);
  EXPECT_TRUE(small.candidates(1).empty());
}

TEST_F(ObservedAddressesTest, LiarsOfOneNetworkKeepNoHonestPeerOut) {
  ObservedAddresses small(classifier, {.addresses = 10});
  const auto lie = [&](std::uint64_t id) {
    const auto liar = "/ip4/66.6.6." + std::to_string(id % 200 + 1) + "/tcp/4001";
    small.add(outbound(id, liar), kSeen.with_port(std::uint16_t(id)), kListen, TimePoint(1s * id));
  };
  for (std::uint64_t id = 1; id <= 50; ++id) lie(id);
  small.add(outbound(1001, "/ip4/9.9.9.1/tcp/1"), kSeen, kListen, TimePoint(51s));
  for (std::uint64_t id = 52; id <= 100; ++id) lie(id);
  EXPECT_TRUE(small.candidates(2).empty());
  small.add(outbound(1002, "/ip4/9.9.8.1/tcp/1"), kSeen, kListen, TimePoint(101s));
  for (std::uint64_t id = 102; id <= 150; ++id) lie(id);

  const auto agreed = small.candidates(2);
  ASSERT_EQ(agreed.size(), 1u);
  EXPECT_EQ(agreed[0].external.port, 33333);
  EXPECT_EQ(agreed[0].observers, 2u);
}

TEST_F(ObservedAddressesTest, OfEqualsTheOldestMakesRoom) {
  ObservedAddresses small(classifier, {.addresses = 2});
  for (std::uint64_t id = 1; id <= 3; ++id) {
    const auto remote = "/ip4/9.9." + std::to_string(id) + ".9/tcp/1";
    small.add(outbound(id, remote), kSeen.with_port(std::uint16_t(id)), kListen,
              TimePoint(1s * id));
  }
  const auto left = small.candidates(1);
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].external.port, 2);
  EXPECT_EQ(left[1].external.port, 3);
  EXPECT_EQ(small.connection_count(), 2u);  // Nothing is left of a vote for what has gone.
}

TEST_F(ObservedAddressesTest, WhatMadeRoomMayComeBackAndIsCountedAnew) {
  ObservedAddresses small(classifier, {.addresses = 5});
  std::mt19937 random(1);
  std::map<std::uint64_t, std::pair<int, std::uint16_t>> told;  // By connection: network, port.
  for (int round = 0; round < 3000; ++round) {
    const std::uint64_t id = random() % 20;
    const auto port = std::uint16_t(1 + random() % 8);
    const auto remote = "/ip4/9.9." + std::to_string(id % 7) + ".9/tcp/4001";
    if (random() % 4 == 0) {
      small.remove(id);
      told.erase(id);
    } else {
      small.add(outbound(id, remote), kSeen.with_port(port), kListen, TimePoint(1s * round));
      told[id] = {int(id % 7), port};
    }
    for (const auto& one : small.candidates(1)) {
      std::set<int> networks;
      for (const auto& [connection, vote] : told)
        if (vote.second == one.external.port) networks.insert(vote.first);
      ASSERT_TRUE(one.observers >= 1 && one.observers <= networks.size()) << round;
      ASSERT_TRUE(one.is_port_observed);
    }
  }
  for (std::uint64_t id = 0; id < 20; ++id) small.remove(id);
  EXPECT_TRUE(small.candidates(1).empty());
}

}  // namespace
}  // namespace pyrsia::host

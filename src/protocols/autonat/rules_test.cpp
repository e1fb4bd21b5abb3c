#include "protocols/autonat/dial_filter.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pyrsia::autonat {
namespace {

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

const auto kObserved = IpAddress::v4({5, 6, 7, 8});

TEST(AutonatDialFilter, DemandedIpsAreReplacedByTheObservedOne) {
  const auto out = dialable_addresses({addr("/ip4/1.1.1.1/tcp/4001")}, kObserved, peer(1), 16);
  EXPECT_EQ(out, std::vector{addr("/ip4/5.6.7.8/tcp/4001").with_peer(peer(1))});
}

TEST(AutonatDialFilter, DropsNamesRelaysForeignersAndWhatIsNotTcp) {
  const std::vector<Multiaddr> demanded{
      addr("/dns4/victim.example.org/tcp/80"),
      addr("/ip4/1.1.1.1/tcp/4001").with_peer(peer(9)),
      addr("/ip4/1.1.1.1/tcp/4001/p2p/" + peer(9).to_string() + "/p2p-circuit"),
      addr("/ip4/1.1.1.1/udp/4001/quic-v1"),
      addr("/ip4/1.1.1.1/tcp/0"),
      addr("/p2p/" + peer(1).to_string())};
  EXPECT_TRUE(dialable_addresses(demanded, kObserved, peer(1), 16).empty());
}

TEST(AutonatDialFilter, EachAddressOnceAndAtMostSixteen) {
  std::vector<Multiaddr> demanded{addr("/ip4/1.1.1.1/tcp/1"),
                                  addr("/ip4/2.2.2.2/tcp/1").with_peer(peer(1))};
  EXPECT_EQ(dialable_addresses(demanded, kObserved, peer(1), 16).size(), 1u);
  for (int port = 2; port < 50; ++port)
    demanded.push_back(addr("/ip4/1.1.1.1/tcp/" + std::to_string(port)));
  EXPECT_EQ(dialable_addresses(demanded, kObserved, peer(1), 16).size(), 16u);
}

TEST(AutonatDialFilter, WhateverIsDemandedNobodyElseIsDialed) {
  std::mt19937 random(1);
  const std::string hosts[] = {"/ip4/10.0.0.1", "/ip4/127.0.0.1", "/ip6/::1",
                               "/dns/a.org",    "/ip4/8.8.8.8",   "/ip6/2600::1"};
  const std::string tails[] = {"/tcp/80", "/udp/53", "/tcp/443/ws", "/tcp/80/p2p-circuit", ""};
  for (int round = 0; round < 500; ++round) {
    std::vector<Multiaddr> demanded;
    for (int i = 0; i < 20; ++i)
      demanded.push_back(addr(hosts[random() % 6] + tails[random() % 5]));
    for (const auto& target : dialable_addresses(demanded, kObserved, peer(1), 16)) {
      ASSERT_EQ(target.ip(), kObserved);
      ASSERT_EQ(target.peer_id(), peer(1));
      ASSERT_TRUE(target.is_plain_tcp());
    }
  }
}

}  // namespace
}  // namespace pyrsia::autonat

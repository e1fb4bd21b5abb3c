#include "swarm/peer_store.hpp"

#include <gtest/gtest.h>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

PeerId peer(std::uint8_t number) {
  Bytes multihash(34, number);
  multihash[0] = 0x12;
  multihash[1] = 32;
  return *PeerId::from_bytes(multihash);
}

const auto kOne = address("/ip4/192.0.2.1/tcp/4001");
const auto kTwo = address("/ip4/192.0.2.2/tcp/4001");
constexpr TimePoint kStart{};

TEST(PeerStore, GivesTheBestSourceFirstAndDropsWhatExpired) {
  PeerStore store;
  store.add_addresses(peer(1), {kOne}, AddressSource::observed, kStart, 10s);
  store.add_addresses(peer(1), {kTwo}, AddressSource::manual, kStart, 5s);
  EXPECT_EQ(store.addresses(peer(1), kStart), (std::vector{kTwo, kOne}));
  EXPECT_EQ(store.addresses(peer(1), kStart + 5s), (std::vector{kOne}));
  EXPECT_EQ(store.addresses(peer(2), kStart), std::vector<Multiaddr>());
}

TEST(PeerStore, RemovesThePeerAtTheEndAndIgnoresAnAddressOfAnother) {
  PeerStore store;
  store.add_addresses(peer(1), {kOne.with_peer(peer(1)), kTwo.with_peer(peer(2))},
                      AddressSource::identify, kStart, 10s);
  EXPECT_EQ(store.addresses(peer(1), kStart), (std::vector{kOne}));
}

TEST(PeerStore, ARepeatedAddressKeepsItsBestSourceAndLongestLife) {
  PeerStore store;
  store.add_addresses(peer(1), {kOne}, AddressSource::manual, kStart, 5s);
  store.add_addresses(peer(1), {kOne}, AddressSource::observed, kStart, 9s);
  store.add_addresses(peer(1), {kTwo}, AddressSource::identify, kStart, 9s);
  EXPECT_EQ(store.addresses(peer(1), kStart + 8s), (std::vector{kOne, kTwo}));
}

TEST(PeerStore, SetReplacesOnlyItsOwnSource) {
  PeerStore store;
  store.add_addresses(peer(1), {kOne}, AddressSource::manual, kStart, 9s);
  store.set_addresses(peer(1), {kTwo}, AddressSource::identify, kStart, 9s);
  store.set_addresses(peer(1), {}, AddressSource::identify, kStart, 9s);
  EXPECT_EQ(store.addresses(peer(1), kStart), (std::vector{kOne}));
}

TEST(PeerStore, AtItsLimitForgetsWhoWasTouchedLongestAgoAndIsNotPinned) {
  PeerStore store({.peers = 3});
  for (std::uint8_t i = 1; i <= 3; ++i)
    store.add_addresses(peer(i), {kOne}, AddressSource::identify, kStart, 9s);
  store.pin(peer(1), true);
  store.set_agent(peer(2), "agent", "");
  store.add_addresses(peer(4), {kOne}, AddressSource::identify, kStart, 9s);
  EXPECT_EQ(store.size(), 3U);
  EXPECT_TRUE(store.addresses(peer(3), kStart).empty());
  EXPECT_FALSE(store.addresses(peer(1), kStart).empty());
  EXPECT_EQ(store.agent(peer(2)), "agent");
  EXPECT_EQ(store.evictions(), 1U);
}

TEST(PeerStore, AFloodOfAddressesNeverPushesOutBetterOnes) {
  PeerStore store({.addresses_of_one_peer = 4});
  store.add_addresses(peer(1), {kOne}, AddressSource::manual, kStart, 9s);
  for (std::uint16_t port = 1; port < 100; ++port)
    store.add_addresses(peer(1), {kTwo.with_port(port)}, AddressSource::observed, kStart, 9s);
  const auto known = store.addresses(peer(1), kStart);
  EXPECT_EQ(known.size(), 4U);
  EXPECT_EQ(known.front(), kOne);
}

TEST(PeerStore, CutsWhatAPeerSaysOfItself) {
  PeerStore store({.protocols_of_one_peer = 2, .string_bytes = 8});
  store.set_agent(peer(1), std::string(100, 'a'), std::string(100, 'b'));
  store.set_protocols(peer(1), {"/far-too-long", "/a", "/b", "/c"});
  EXPECT_EQ(store.agent(peer(1)), "aaaaaaaa");
  EXPECT_EQ(store.protocols(peer(1)), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_TRUE(store.supports(peer(1), "/a"));
  EXPECT_FALSE(store.supports(peer(1), "/c"));
}

TEST(PeerStore, ExpiryForgetsPeersWithoutAddressesUnlessPinned) {
  PeerStore store;
  store.add_addresses(peer(1), {kOne}, AddressSource::identify, kStart, 1s);
  store.add_addresses(peer(2), {kOne}, AddressSource::identify, kStart, 1s);
  store.pin(peer(2), true);
  store.pin(peer(2), true);
  store.pin(peer(2), false);
  store.expire(kStart + 2s);
  EXPECT_EQ(store.size(), 1U);
  store.pin(peer(2), false);
  store.expire(kStart + 2s);
  EXPECT_EQ(store.size(), 0U);
}

TEST(PeerStore, RemembersTheSequenceOfTheLastRecord) {
  PeerStore store;
  EXPECT_EQ(store.record_sequence(peer(1)), std::nullopt);
  store.set_record_sequence(peer(1), 7);
  EXPECT_EQ(store.record_sequence(peer(1)), 7U);
  store.add_addresses(peer(1), {kOne}, AddressSource::manual, kStart, 1s);
  store.remove_address(peer(1), kOne.with_peer(peer(1)));
  EXPECT_TRUE(store.addresses(peer(1), kStart).empty());
}

}  // namespace
}  // namespace pyrsia::swarm

#include "protocols/identify/info.hpp"

#include "crypto/envelope.hpp"
#include "protocols/identify/push_limiter.hpp"
#include "swarm/test_node.hpp"

#include <gtest/gtest.h>

namespace pyrsia::identify {
namespace {

using namespace std::chrono_literals;

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

Bytes bytes(const Multiaddr& address) {
  return Bytes(address.bytes().begin(), address.bytes().end());
}

const auto kPublic = addr("/ip4/5.6.7.8/tcp/4001");
const auto kPrivate = addr("/ip4/192.168.1.5/tcp/4001");
const auto kLoopback = addr("/ip4/127.0.0.1/tcp/4001");

struct IdentifyInfo : testing::Test {
  swarm::ConnectionInfo from(const std::string& remote) const {
    return {1,
            key.peer_id(),
            key.public_key(),
            swarm::Direction::inbound,
            kPrivate,
            addr(remote),
            false,
            "/noise",
            "/yamux/1.0.0",
            {}};
  }
  Result<Info> checked(const Message& message, Kind kind = Kind::answer,
                       std::optional<std::uint64_t> known = {}) const {
    return check(message, kind, from("/ip4/9.9.9.9/tcp/1"), classifier, known);
  }

  KeyPair key = swarm::test_key(1);
  KeyPair other = swarm::test_key(2);
  AddressClassifier classifier;
};

TEST_F(IdentifyInfo, AnotherPeersKeyDiscardsTheWholeMessage) {
  Message message;
  message.public_key = other.public_key().to_protobuf();
  EXPECT_EQ(checked(message).error(), Errc::wrong_peer);
  message.public_key = Bytes{1, 2, 3};
  EXPECT_FALSE(checked(message));
  message.public_key = key.public_key().to_protobuf();
  EXPECT_TRUE(checked(message));
  message.public_key.reset();
  EXPECT_TRUE(checked(message));
}

TEST_F(IdentifyInfo, AddressesAreThoseThatMakeSenseWhereThePeerIs) {
  Message message;
  message.listen_addresses = {bytes(kPublic),
                              bytes(kPrivate),
                              bytes(kLoopback),
                              Bytes{0xff},
                              bytes(addr("/ip4/0.0.0.0/tcp/4001")),
                              bytes(kPublic)};
  const auto seen_from = [&](const std::string& remote) {
    return *check(message, Kind::answer, from(remote), classifier, {})->addresses;
  };
  EXPECT_EQ(seen_from("/ip4/9.9.9.9/tcp/1"), std::vector{kPublic});
  EXPECT_EQ(seen_from("/ip4/192.168.1.9/tcp/1"), (std::vector{kPublic, kPrivate}));
  EXPECT_EQ(seen_from("/ip4/127.0.0.1/tcp/1"), (std::vector{kPublic, kPrivate, kLoopback}));
  EXPECT_EQ(seen_from("/ip4/9.9.9.9/tcp/1/p2p-circuit"), std::vector{kPublic});
}

TEST_F(IdentifyInfo, OwnIdAtTheEndIsCutAndForeignOnesAreDropped) {
  Message message;
  message.listen_addresses = {bytes(kPublic.with_peer(key.peer_id())),
                              bytes(kPublic.with_port(1).with_peer(other.peer_id()))};
  EXPECT_EQ(*checked(message)->addresses, std::vector{kPublic});
}

TEST_F(IdentifyInfo, SignedAddressesReplaceUnsignedOnes) {
  Message message;
  message.listen_addresses = {bytes(kPublic.with_port(1))};
  message.signed_peer_record = crypto::seal_peer_record(key, 7, {kPublic});

  const auto info = checked(message, Kind::answer, 7);
  ASSERT_TRUE(info);
  EXPECT_EQ(*info->addresses, std::vector{kPublic});
  EXPECT_EQ(info->record_sequence, 7u);
}

TEST_F(IdentifyInfo, OlderRecordChangesNothing) {
  Message message;
  message.signed_peer_record = crypto::seal_peer_record(key, 7, {kPublic});
  EXPECT_FALSE(checked(message, Kind::answer, 8)->addresses);
}

TEST_F(IdentifyInfo, InvalidSignatureFallsBackToUnsignedAddresses) {
  Message message;
  message.listen_addresses = {bytes(kPublic)};
  message.signed_peer_record = crypto::seal_peer_record(key, 7, {kPublic.with_port(9)});
  message.signed_peer_record->back() ^= 1;

  const auto info = checked(message);
  EXPECT_EQ(*info->addresses, std::vector{kPublic});
  EXPECT_FALSE(info->record_sequence);
}

TEST_F(IdentifyInfo, AnotherPeersRecordEmptiesTheAddresses) {
  Message message;
  message.listen_addresses = {bytes(kPublic)};
  message.signed_peer_record = crypto::seal_peer_record(other, 7, {kPublic});
  EXPECT_TRUE(checked(message)->addresses->empty());
}

TEST_F(IdentifyInfo, WhatIsAbsentInAPushIsUnchanged) {
  Message message;
  message.protocols = {"/a"};
  const auto only_protocols = checked(message, Kind::push);
  EXPECT_FALSE(only_protocols->addresses);
  EXPECT_FALSE(only_protocols->agent);
  EXPECT_EQ(*only_protocols->protocols, std::vector<std::string>{"/a"});

  Message addresses;
  addresses.listen_addresses = {bytes(kPublic)};
  EXPECT_FALSE(checked(addresses, Kind::push)->protocols);
  EXPECT_TRUE(checked(addresses, Kind::answer)->protocols);  // In an answer, none are none.
}

TEST_F(IdentifyInfo, ObservedAddressMayEndInOurIdEvenTwice) {
  const auto id = other.peer_id().to_string();
  Message message;
  message.observed_address = bytes(addr("/ip4/5.6.7.8/tcp/4001/p2p/" + id + "/p2p/" + id));
  EXPECT_EQ(checked(message)->observed, kPublic);
  message.observed_address = bytes(addr("/p2p/" + id));
  EXPECT_FALSE(checked(message)->observed);
  message.observed_address = Bytes{0xff, 0xff};
  EXPECT_FALSE(checked(message)->observed);
}

TEST_F(IdentifyInfo, TextsAreMadePrintable) {
  Message message;
  message.agent_version = "evil\n\x1b[2J\xff";
  message.protocols = {"/good/1", "/bad\n/1", ""};
  const auto info = checked(message);
  EXPECT_EQ(info->agent, "evil??[2J?");
  EXPECT_EQ(*info->protocols, std::vector<std::string>{"/good/1"});
}

TEST_F(IdentifyInfo, PushesAreRareForANetworkAndFreeOnTheLoopback) {
  PushLimiter limiter{PushLimits()};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.allow(from("/ip4/9.9.9.9/tcp/1"), {}));
  EXPECT_FALSE(limiter.allow(from("/ip4/9.9.9.8/tcp/1"), {}));
  EXPECT_TRUE(limiter.allow(from("/ip4/9.9.8.9/tcp/1"), {}));
  EXPECT_TRUE(limiter.allow(from("/ip4/9.9.9.9/tcp/1"), TimePoint(5s)));
  EXPECT_FALSE(limiter.allow(from("/ip4/9.9.9.9/tcp/1"), TimePoint(5s)));
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(limiter.allow(from("/ip4/127.0.0.1/tcp/1"), TimePoint(5s)));
}

TEST_F(IdentifyInfo, PushLimiterForgetsBeforeItOutgrowsItsBound) {
  PushLimits limits;
  limits.buckets = 8;
  PushLimiter limiter(limits);
  for (int i = 0; i < 200; ++i) {
    limiter.allow(from("/ip4/9.9." + std::to_string(i) + ".9/tcp/1"), TimePoint(1s * i));
    ASSERT_LE(limiter.size(), 8u);
  }
}

}  // namespace
}  // namespace pyrsia::identify

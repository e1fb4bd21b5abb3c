#include "transport/quic/address_tokens.hpp"

#include "transport/quic/test_peers.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

const Bytes kToken = {1, 2, 3};

TEST(AddressTokens, EachIsForOneConnectionToWhoGaveIt) {
  AddressTokens tokens;
  const auto server = sim::at("5.6.7.8", 4001);
  const auto peer = test_key(2).peer_id();
  tokens.keep(server, peer, kToken);
  EXPECT_TRUE(tokens.take(sim::at("5.6.7.8", 4002), peer).empty());
  EXPECT_TRUE(tokens.take(server, test_key(3).peer_id()).empty());
  EXPECT_EQ(tokens.take(server, peer), kToken);
  EXPECT_TRUE(tokens.take(server, peer).empty());
}

TEST(AddressTokens, ANewerOneTakesThePlaceOfTheOlder) {
  AddressTokens tokens;
  const auto server = sim::at("5.6.7.8", 4001);
  const auto peer = test_key(2).peer_id();
  tokens.keep(server, peer, Bytes(5, 5));
  tokens.keep(server, peer, kToken);
  EXPECT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens.take(server, peer), kToken);
}

TEST(AddressTokens, AreBoundedInNumberAndSize) {
  AddressTokens tokens;
  const auto peer = test_key(2).peer_id();
  for (std::uint16_t port = 1; port <= AddressTokens::kMaxTokens + 10; ++port)
    tokens.keep(sim::at("5.6.7.8", port), peer, kToken);
  EXPECT_EQ(tokens.size(), AddressTokens::kMaxTokens);
  EXPECT_TRUE(tokens.take(sim::at("5.6.7.8", 10), peer).empty());
  EXPECT_EQ(tokens.take(sim::at("5.6.7.8", 11), peer), kToken);
  tokens.keep(sim::at("5.6.7.9", 1), peer, Bytes(AddressTokens::kMaxTokenBytes + 1));
  EXPECT_TRUE(tokens.take(sim::at("5.6.7.9", 1), peer).empty());
  tokens.clear();
  EXPECT_EQ(tokens.size(), 0U);
}

}  // namespace
}  // namespace pyrsia::transport::quic

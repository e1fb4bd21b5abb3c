#include "base/hex.hpp"

#include <pyrsia/peer_id.hpp>

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

constexpr std::string_view kEd25519 = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
constexpr std::string_view kEd25519Cid =
    "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6";
constexpr std::string_view kRsa = "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG";

TEST(PeerId, HasTwoTextForms) {
  const auto id = PeerId::parse(kEd25519).value();
  EXPECT_EQ(id.to_string(), kEd25519);
  EXPECT_EQ(id.to_cid_string(), kEd25519Cid);
  EXPECT_EQ(to_hex(id.bytes()),
            "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e");
  EXPECT_EQ(PeerId::parse(kEd25519Cid).value(), id);
  EXPECT_EQ(PeerId::parse("f0172" + to_hex(id.bytes())).value(), id);
}

TEST(PeerId, MayBeAHash) {
  const auto id = PeerId::parse(kRsa).value();
  EXPECT_EQ(id.bytes().size(), 34);
  EXPECT_EQ(id.to_string(), kRsa);
  EXPECT_EQ(PeerId::parse(id.to_cid_string()).value(), id);
  EXPECT_NE(id, PeerId::parse(kEd25519).value());
}

TEST(PeerId, RefusesOtherBytes) {
  const std::string hash(64, 'a');
  const std::string identity43(86, 'a');
  for (const auto& hex :
       std::vector<std::string>{"", "00", "0000", "0001", "000200", "1220", "1220" + hash.substr(2),
                                "1220" + hash + "00", "1120" + hash, "121f" + hash.substr(2),
                                "002b" + identity43, "1320" + hash}) {
    EXPECT_EQ(PeerId::from_bytes(from_hex(hex).value()).error(), Errc::malformed) << hex;
  }
}

TEST(PeerId, RefusesOtherText) {
  const auto hex = to_hex(PeerId::parse(kEd25519).value().bytes());
  for (const auto& text : std::vector<std::string>{
           "", "Q", "Qm", "1", "12D3KooW", "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqx0",
           std::string(kEd25519) + "z", " " + std::string(kEd25519), "f0155" + hex, "f0272" + hex,
           "f01", "b", "z" + std::string(kEd25519), std::string(5000, '1')}) {
    EXPECT_EQ(PeerId::parse(text).error(), Errc::malformed) << text;
  }
}

TEST(PeerId, IsAKeyOfHashTables) {
  const auto id = PeerId::parse(kRsa).value();
  const auto same = PeerId::parse(id.to_cid_string()).value();
  EXPECT_EQ(std::hash<PeerId>()(id), std::hash<PeerId>()(same));
}

}  // namespace
}  // namespace pyrsia

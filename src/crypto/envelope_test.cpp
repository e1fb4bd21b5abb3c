#include "crypto/envelope.hpp"

#include "base/hex.hpp"
#include "crypto/spec_keys.hpp"
#include "crypto/wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::crypto {
namespace {

constexpr std::uint64_t kSequence = 1700000000000000000;
const std::string kPublic =
    "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
// Made by js-libp2p with the spec's Ed25519 key.
const std::string kRecord = "0a2600240801" + kPublic.substr(4) +
                            "108080a8b1e39fe7cb171a0a0a0804c000022a0601bb"
                            "1a0d0a0b04c000022a910201bbcd03";
const std::string kRecordSignature =
    "97bb37ec1e6c7a2bb436fd05a32f2ebf2e48e7442f94b42aa90d634f7945ed58"
    "dfbdb27a7f270513179fd46bc3e0eeef336c50ee666305a31e02f5d6bd393b0a";
const std::string kRecordEnvelope =
    "0a24" + kPublic + "120203011a4d" + kRecord + "2a40" + kRecordSignature;

const Bytes kType{0x03, 0x01};

Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}
KeyPair spec_key(std::size_t i = 0) {
  return KeyPair::from_protobuf(unhex(kSpecKeys[i].secret_hex)).value();
}
Multiaddr addr(std::string_view text) {
  return Multiaddr::parse(text).value();
}

TEST(PeerRecord, AgreesWithTheVector) {
  const std::vector<Multiaddr> addresses{addr("/ip4/192.0.2.42/tcp/443"),
                                         addr("/ip4/192.0.2.42/udp/443/quic-v1")};
  EXPECT_EQ(to_hex(seal_peer_record(spec_key(), kSequence, addresses)), kRecordEnvelope);
  const auto record = open_peer_record(unhex(kRecordEnvelope));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->peer, spec_key().peer_id());
  EXPECT_EQ(record->sequence, kSequence);
  EXPECT_EQ(record->addresses, addresses);
}

TEST(Envelope, AgreesWithTheVectorOfAVoucher) {
  const std::string id = "00240801" + kPublic.substr(4);
  const auto payload = unhex("0a26" + id + "1226" + id + "1890fecfaa06");
  const Bytes type{0x03, 0x02};
  const auto message = seal_envelope(spec_key(), "libp2p-relay-rsvp", type, payload);
  EXPECT_TRUE(to_hex(message).ends_with(
      "d20836286525d45fd8ff3789bdb422c192f13c4c6f814d36eba6096de09f4fb4"
      "d0a4646c53bad77d1c4ff01692cf9991e4b8197e9b7873482a4b6cc76bed5c08"));
  EXPECT_EQ(open_envelope(message, "libp2p-relay-rsvp", type).value().payload, payload);
}

TEST(Envelope, WorksWithKeysOfEveryType) {
  const auto payload = unhex("0102");
  for (std::size_t i = 0; i < kSpecKeys.size(); ++i) {
    const auto message = seal_envelope(spec_key(i), "domain", kType, payload);
    const auto envelope = open_envelope(message, "domain", kType);
    ASSERT_TRUE(envelope) << kSpecKeys[i].peer;
    EXPECT_EQ(envelope->signer.peer_id().to_string(), kSpecKeys[i].peer);
    EXPECT_EQ(envelope->payload, payload);
  }
}

TEST(Envelope, EveryChangedBitIsSeen) {
  const auto good = seal_envelope(spec_key(), "domain", kType, unhex("0102"));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    auto bad = good;
    bad[bit / 8] ^= std::uint8_t(1U << (bit % 8));
    EXPECT_FALSE(open_envelope(bad, "domain", kType)) << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(open_envelope(BytesView(good).first(size), "domain", kType)) << size;
  }
}

TEST(Envelope, TellsItsFailuresApart) {
  const auto good = seal_envelope(spec_key(), "domain", kType, unhex("0102"));
  EXPECT_EQ(open_envelope(good, "other", kType).error(), Errc::bad_signature);
  EXPECT_EQ(open_envelope(good, "domain", unhex("0302")).error(), Errc::protocol_violation);
  EXPECT_EQ(open_envelope({}, "domain", kType).error(), Errc::malformed);
  EXPECT_EQ(open_envelope(unhex("ff"), "domain", kType).error(), Errc::malformed);
  const Bytes large(kMaxEnvelopeBytes + 1);
  EXPECT_EQ(open_envelope(large, "domain", kType).error(), Errc::too_large);
}

TEST(Envelope, FieldsOfLaterVersionsAreSkipped) {
  auto message = unhex(kRecordEnvelope);
  const auto extra = unhex(
      "320161"
      "9a060162");
  message.insert(message.end(), extra.begin(), extra.end());
  EXPECT_TRUE(open_peer_record(message));
}

Bytes sealed(const PeerRecordMessage& record) {
  return seal_envelope(spec_key(), kPeerRecordDomain, kType, encode(record));
}

PeerRecordMessage record_of(const PeerId& peer) {
  return {{peer.bytes().begin(), peer.bytes().end()}, 1, {}};
}

TEST(PeerRecord, OfAnotherPeerIsRefused) {
  EXPECT_EQ(open_peer_record(sealed(record_of(spec_key(1).peer_id()))).error(), Errc::wrong_peer);
  EXPECT_EQ(open_peer_record(sealed({{}, 1, {}})).error(), Errc::malformed);
}

TEST(PeerRecord, BadAddressesCostThemselvesOnly) {
  auto record = record_of(spec_key().peer_id());
  const auto good = addr("/ip4/192.0.2.42/tcp/443");
  const auto own = good.with_peer(spec_key().peer_id());
  const auto foreign = good.with_peer(spec_key(1).peer_id());
  for (const auto& address : {own, foreign, good}) {
    record.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
  }
  record.addresses.push_back(unhex("ff"));
  record.addresses.emplace_back();
  EXPECT_EQ(open_peer_record(sealed(record)).value().addresses, (std::vector{good, good}));
}

TEST(PeerRecord, HasALimitOfAddresses) {
  auto record = record_of(spec_key().peer_id());
  const auto address = addr("/ip4/192.0.2.42/tcp/443");
  record.addresses.resize(kMaxRecordAddresses,
                          Bytes(address.bytes().begin(), address.bytes().end()));
  EXPECT_EQ(open_peer_record(sealed(record)).value().addresses.size(), kMaxRecordAddresses);
  record.addresses.emplace_back();
  EXPECT_EQ(open_peer_record(sealed(record)).error(), Errc::too_large);
  const std::vector<Multiaddr> many(kMaxRecordAddresses + 1, address);
  const auto own = open_peer_record(seal_peer_record(spec_key(), 1, many));
  EXPECT_EQ(own.value().addresses.size(), kMaxRecordAddresses);
}

}  // namespace
}  // namespace pyrsia::crypto

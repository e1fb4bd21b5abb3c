#include "protocols/identify/wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::identify {
namespace {

Bytes frame(BytesView message) {
  Bytes out;
  for (auto rest = message.size();; rest >>= 7) {
    out.push_back(std::uint8_t(rest < 0x80 ? rest : (rest & 0x7f) | 0x80));
    if (rest < 0x80) break;
  }
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Message sample() {
  Message message;
  message.public_key = Bytes{8, 1, 18, 1, 7};
  message.listen_addresses = {Bytes{4, 192, 0, 2, 1, 6, 0x0f, 0xa1},
                              Bytes{4, 10, 0, 0, 1, 6, 0, 1}};
  message.protocols = {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"};
  message.observed_address = Bytes{4, 198, 51, 100, 7, 6, 0x0f, 0xa1};
  message.protocol_version = "ipfs/1.0.0";
  message.agent_version = "pyrsia/0.1.0";
  message.signed_peer_record = Bytes(100, 9);
  return message;
}

TEST(IdentifyWire, FieldsHaveTheSpecsNumbers) {
  Message message;
  message.public_key = Bytes{1};
  message.listen_addresses = {Bytes{2}};
  message.protocols = {"3"};
  message.observed_address = Bytes{4};
  message.protocol_version = "5";
  message.agent_version = "6";
  message.signed_peer_record = Bytes{8};

  const Bytes expected{0x0a, 1,    1, 0x12, 1,    2, 0x1a, 1,    '3', 0x22, 1,
                       4,    0x2a, 1, '5',  0x32, 1, '6',  0x42, 1,   8};
  EXPECT_EQ(encode(message), expected);
}

TEST(IdentifyWire, SurvivesARoundTrip) {
  const auto decoded = decode(frame(encode(sample())));

  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(*decoded, sample());
}

TEST(IdentifyWire, EmptyFieldsAreNotAbsentOnes) {
  Message message;
  message.agent_version = "";

  const auto decoded = decode(frame(encode(message)));

  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->agent_version, "");
  EXPECT_FALSE(decoded->protocol_version);
}

TEST(IdentifyWire, SeveralMessagesAreMerged) {
  auto first = sample();
  first.signed_peer_record.reset();
  Message second;
  second.signed_peer_record = Bytes(3000, 1);
  second.listen_addresses = {Bytes{4, 192, 0, 2, 9, 6, 0, 80}};
  second.agent_version = "other";

  const auto decoded = decode(frame(encode(first)) + frame(encode(second)));

  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(decoded->listen_addresses.size(), 3u);
  EXPECT_EQ(decoded->agent_version, "other");
  EXPECT_EQ(decoded->signed_peer_record, second.signed_peer_record);
  EXPECT_EQ(decoded->public_key, first.public_key);
}

TEST(IdentifyWire, TenMessagesAreReadAndElevenAreTooMany) {
  Bytes stream;
  for (int i = 0; i < 10; ++i) stream = stream + frame(encode(sample()));
  EXPECT_TRUE(decode(stream));
  EXPECT_EQ(decode(stream + frame(encode(sample()))).error(), Errc::too_large);
}

TEST(IdentifyWire, RefusesWhatIsNoMessage) {
  EXPECT_EQ(decode({}).error(), Errc::malformed);
  EXPECT_EQ(decode(Bytes{5, 1, 2}).error(), Errc::malformed);        // Cut short.
  EXPECT_EQ(decode(Bytes{0x80}).error(), Errc::malformed);           // Length cut short.
  EXPECT_EQ(decode(Bytes{0x80, 0x00}).error(), Errc::malformed);     // Length not minimal.
  EXPECT_EQ(decode(Bytes{2, 0xff, 0xff}).error(), Errc::malformed);  // No protobuf.
  EXPECT_EQ(decode(Bytes{0x81, 0x40}).error(), Errc::too_large);     // 8193 bytes.
  EXPECT_EQ(decode(Bytes(6, 0xff)).error(), Errc::too_large);
}

TEST(IdentifyWire, ListsAndTextsAreBounded) {
  Message message;
  for (int i = 0; i < 600; ++i) message.listen_addresses.push_back(Bytes{1});
  for (int i = 0; i < 1100; ++i) message.protocols.push_back("/a");
  message.agent_version = std::string(1000, 'x');
  Message with_long_name;
  with_long_name.protocols = {std::string(257, 'y'), "/b"};

  const auto decoded = decode(frame(encode(message)));
  const auto named = decode(frame(encode(with_long_name)));

  ASSERT_TRUE(decoded && named);
  EXPECT_EQ(decoded->listen_addresses.size(), kMaxAddresses);
  EXPECT_EQ(decoded->protocols.size(), kMaxProtocols);
  EXPECT_EQ(decoded->agent_version->size(), kMaxTextBytes);
  EXPECT_EQ(named->protocols, std::vector<std::string>{"/b"});
}

TEST(IdentifyWire, FittingDropsTheRecordThenTheLastAddresses) {
  auto message = sample();
  const auto whole = encode(message).size();

  EXPECT_EQ(fit(message, whole), message);

  auto without_record = message;
  without_record.signed_peer_record.reset();
  EXPECT_EQ(fit(message, whole - 1), without_record);

  auto without_last = without_record;
  without_last.listen_addresses.pop_back();
  EXPECT_EQ(fit(message, encode(without_record).size() - 1), without_last);

  EXPECT_TRUE(fit(message, 0).protocols.empty());  // Ends, whatever is asked.
}

}  // namespace
}  // namespace pyrsia::identify

#include "nat/stun/message.hpp"

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "nat/stun/attributes.hpp"
#include "nat/stun/builder.hpp"
#include "nat/stun/integrity.hpp"
#include "nat/stun/numbers.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::stun {
namespace {

Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}

Endpoint at(std::string_view ip, std::uint16_t port) {
  return {IpAddress::parse(ip).value(), port};
}

constexpr std::string_view kPassword = "VOkJxbRl1RmTxUk/WvJxBt";
constexpr std::string_view kMatrix = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9";

// Vectors: RFC 5769, 2.1 to 2.4, and RFC 8489, B.1 with erratum 6268.
constexpr std::string_view kRequest =
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf";
constexpr std::string_view kResponseV4 =
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96";
constexpr std::string_view kResponseV6 =
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c";
constexpr std::string_view kLongTerm =
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
constexpr std::string_view kSha256 =
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f73324141414366"
    "2f2f3439396b39353464364f4c33346f4c39465354767936347341000000"
    "0014000b6578616d706c652e6f726700"
    "001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f819241362"
    "96cb927c43149309278cc6518e65";

TEST(StunVectors, SampleRequest) {
  const auto bytes = unhex(kRequest);
  const auto message = Message::parse(bytes).value();
  EXPECT_EQ(message.header().message_class, MessageClass::request);
  EXPECT_EQ(message.header().method, Method::binding);
  EXPECT_EQ(to_hex(message.header().transaction), "b7e7a701bc34d686fa87dfae");
  EXPECT_EQ(as_text(*message.find(AttributeType::software)), "STUN test client");
  EXPECT_EQ(as_text(*message.find(AttributeType::username)), "evtj:h6vY");
  EXPECT_TRUE(message.has_fingerprint());
  EXPECT_TRUE(check_integrity(message, as_bytes(kPassword)));
  EXPECT_EQ(check_integrity(message, as_bytes("wrong")).error(), Errc::bad_signature);
}

TEST(StunVectors, SampleResponses) {
  const auto v4 = unhex(kResponseV4);
  const auto v6 = unhex(kResponseV6);
  const auto of_v4 = Message::parse(v4).value();
  const auto of_v6 = Message::parse(v6).value();
  EXPECT_EQ(of_v4.header().message_class, MessageClass::success);
  EXPECT_EQ(mapped_address(of_v4).value(), at("192.0.2.1", 32853));
  EXPECT_EQ(mapped_address(of_v6).value(), at("2001:db8:1234:5678:11:2233:4455:6677", 32853));
  EXPECT_TRUE(check_integrity(of_v4, as_bytes(kPassword)));
  EXPECT_TRUE(check_integrity(of_v6, as_bytes(kPassword)));
}

TEST(StunVectors, LongTermRequests) {
  const auto md5 = unhex(kLongTerm);
  const auto sha256 = unhex(kSha256);
  const auto of_md5 = Message::parse(md5).value();
  const auto of_sha256 = Message::parse(sha256).value();
  EXPECT_TRUE(check_integrity(
      of_md5, long_term_key(PasswordAlgorithm::md5, kMatrix, "example.org", "TheMatrIX")));
  EXPECT_TRUE(check_integrity(
      of_sha256, long_term_key(PasswordAlgorithm::sha256, kMatrix, "example.org", "TheMatrIX")));
  EXPECT_EQ(to_hex(*of_sha256.find(AttributeType::userhash)),
            to_hex(userhash(kMatrix, "example.org")));
  EXPECT_EQ(decode_password_algorithm(*of_sha256.find(AttributeType::password_algorithm)).value(),
            PasswordAlgorithm::sha256);
}

TEST(StunVectors, AreWrittenAsTheyWereRead) {
  const auto sample = unhex(kResponseV4);
  std::array<std::uint8_t, 256> out{};
  Builder v4(out, Message::parse(sample).value().header());
  // The vectors pad with spaces; we pad with zeros, so the checksums are our own.
  v4.add(AttributeType::software, "test vector");
  v4.add_xor_address(AttributeType::xor_mapped_address, at("192.0.2.1", 32853));
  EXPECT_EQ(to_hex(v4.bytes().subspan(36, 12)), "002000080001a147e112a643");

  const auto request = unhex(kSha256);
  const auto header = Message::parse(request).value().header();
  Builder builder(out, header);
  builder.add(AttributeType::userhash, userhash(kMatrix, "example.org"));
  builder.add(AttributeType::nonce, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
  builder.add(AttributeType::realm, "example.org");
  builder.add_password_algorithm(PasswordAlgorithm::sha256);
  builder.add_integrity_sha256(
      long_term_key(PasswordAlgorithm::sha256, kMatrix, "example.org", "TheMatrIX"));
  EXPECT_EQ(to_hex(builder.finish().value()), kSha256);
}

TEST(StunVectors, TheSha1OfALongTermRequestIsWrittenAsItWasRead) {
  const auto request = unhex(kLongTerm);
  std::array<std::uint8_t, 256> out{};
  Builder builder(out, Message::parse(request).value().header());
  builder.add(AttributeType::username, kMatrix);
  builder.add(AttributeType::nonce, "f//499k954d6OL34oL9FSTvy64sA");
  builder.add(AttributeType::realm, "example.org");
  builder.add_integrity(long_term_key(PasswordAlgorithm::md5, kMatrix, "example.org", "TheMatrIX"));
  EXPECT_EQ(to_hex(builder.finish().value()), kLongTerm);
}

TEST(StunMessage, EveryClassAndMethodSurvivesTheHeader) {
  std::array<std::uint8_t, kHeaderBytes> out{};
  for (unsigned method = 0; method < 0x1000; ++method) {
    for (unsigned c = 0; c < 4; ++c) {
      Header header;
      header.message_class = static_cast<MessageClass>(c);
      header.method = static_cast<Method>(method);
      const Builder builder(out, header);
      ASSERT_EQ(Message::parse(builder.bytes()).value().header(), header);
    }
  }
  EXPECT_EQ(type_field(MessageClass::request, Method::binding), 0x0001);
  EXPECT_EQ(type_field(MessageClass::error, Method::binding), 0x0111);
}

TEST(StunMessage, EveryShortenedOrBrokenVectorIsRefused) {
  for (const auto vector : {kRequest, kResponseV4, kResponseV6}) {
    const auto whole = unhex(vector);
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(Message::parse(BytesView(whole).first(size)));
    // Up to the cookie's end a changed bit makes it another message; after it the FINGERPRINT
    // finds each one.
    for (std::size_t bit = 8 * 8; bit < 8 * whole.size(); ++bit) {
      auto broken = whole;
      broken[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      const auto parsed = Message::parse(broken);
      EXPECT_TRUE(!parsed || !parsed->has_fingerprint()) << bit;
    }
  }
}

TEST(StunMessage, AttributesThatDoNotFitAreRefused) {
  const std::string header = "2112a442000102030405060708090a0b";
  EXPECT_EQ(Message::parse(unhex("00010004" + header + "00060001")).error(), Errc::malformed);
  EXPECT_EQ(Message::parse(unhex("00010008" + header + "0006000500000000")).error(),
            Errc::malformed);
  EXPECT_EQ(Message::parse(unhex("00010003" + header + "000000")).error(), Errc::malformed);
  EXPECT_EQ(Message::parse(unhex("40010000" + header)).error(), Errc::malformed);
  EXPECT_EQ(Message::parse(Bytes(kMaxMessageBytes + 4)).error(), Errc::too_large);
  EXPECT_TRUE(Message::parse(unhex("00010008" + header + "0006000400000000")));
  // FINGERPRINT before another attribute.
  EXPECT_EQ(Message::parse(unhex("0001000c" + header + "802800040000000080220000")).error(),
            Errc::malformed);
}

TEST(StunMessage, WhatFollowsTheIntegrityIsIgnored) {
  std::array<std::uint8_t, 256> out{};
  Builder builder(out, {});
  builder.add_integrity(as_bytes("key"));
  builder.add(AttributeType::realm, "forged");
  builder.add_integrity_sha256(as_bytes("key"));
  builder.add(AttributeType::nonce, "forged");
  builder.add_fingerprint();
  const auto message = Message::parse(builder.finish().value()).value();
  EXPECT_FALSE(message.has(AttributeType::realm));
  EXPECT_FALSE(message.has(AttributeType::nonce));
  EXPECT_TRUE(message.has_fingerprint());
  EXPECT_TRUE(check_integrity(message, as_bytes("key")));
}

TEST(StunMessage, AnOldClientHasNoCookie) {
  const auto bytes = unhex("00010008deadbeef000102030405060708090a0b0003000400000006");
  const auto message = Message::parse(bytes).value();
  EXPECT_TRUE(message.header().is_legacy());
  EXPECT_FALSE(looks_like_stun(bytes));
  const auto change = decode_change_request(*message.find(AttributeType::change_request));
  EXPECT_EQ(change.value(), (ChangeRequest{true, true}));
}

TEST(StunMessage, OthersOnThePortDoNotLookLikeIt) {
  const auto stun = unhex(kRequest);
  EXPECT_TRUE(looks_like_stun(stun));
  EXPECT_FALSE(looks_like_stun(BytesView(stun).first(stun.size() - 4)));
  auto quic = stun;
  quic[0] = 0xc0;
  EXPECT_FALSE(looks_like_stun(quic));
  auto other = stun;
  other[4] ^= 1;
  EXPECT_FALSE(looks_like_stun(other));
}

TEST(StunMessage, OnAStreamTheHeaderTellsTheSize) {
  std::array<std::uint8_t, kHeaderBytes> header{};
  Builder builder(header, {});
  EXPECT_EQ(message_size(header).value(), kHeaderBytes);
  write_u16(&header[2], 8);
  EXPECT_EQ(message_size(header).value(), kHeaderBytes + 8);
  write_u16(&header[2], 7);
  EXPECT_EQ(message_size(header).error(), Errc::malformed);
  write_u16(&header[2], 0xfffc);
  EXPECT_EQ(message_size(header).error(), Errc::too_large);
}

TEST(StunMessage, WhatDoesNotFitIsFoundAtTheEnd) {
  std::array<std::uint8_t, 32> out{};
  Builder builder(out, {});
  builder.add_address(AttributeType::mapped_address, at("::1", 1));
  EXPECT_EQ(builder.finish().error(), Errc::too_large);
  builder.add_u32(AttributeType::change_request, 0);
  EXPECT_EQ(builder.finish().error(), Errc::too_large);
}

TEST(StunAttributes, AddressesInEveryForm) {
  std::array<std::uint8_t, 64> out{};
  for (const auto& endpoint : {at("1.2.3.4", 5), at("2001:db8::1", 65535), at("::", 0)}) {
    Header header;
    header.transaction = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2};
    Builder builder(out, header);
    builder.add_xor_address(AttributeType::xor_mapped_address, endpoint);
    EXPECT_EQ(mapped_address(Message::parse(builder.bytes()).value()).value(), endpoint);
    Builder plain(out, header);
    plain.add_address(AttributeType::mapped_address, endpoint);
    EXPECT_EQ(mapped_address(Message::parse(plain.bytes()).value()).value(), endpoint);
  }
  EXPECT_EQ(decode_address(unhex("0003000101020304")).error(), Errc::not_supported);
  EXPECT_EQ(decode_address(unhex("0002000101020304")).error(), Errc::malformed);
  EXPECT_EQ(decode_address(unhex("00010001010203")).error(), Errc::malformed);
  const Builder empty(out, {});
  EXPECT_EQ(mapped_address(Message::parse(empty.bytes()).value()).error(), Errc::not_found);
}

TEST(StunAttributes, ErrorCodes) {
  const auto bytes = unhex("00000414556e6b6e6f776e");
  EXPECT_EQ(decode_error_code(bytes).value().code, 420);
  EXPECT_EQ(decode_error_code(bytes).value().reason, "Unknown");
  for (const auto* bad : {"000004", "00000264", "00000700", "00000463", "00000464"}) {
    const auto code = decode_error_code(unhex(bad));
    EXPECT_TRUE(!code || code->code == 499) << bad;
  }
}

TEST(StunAttributes, SmallOnes) {
  EXPECT_EQ(decode_response_port(unhex("12340000")).value(), 0x1234);
  EXPECT_EQ(decode_response_port(unhex("1234")).value(), 0x1234);
  EXPECT_EQ(decode_response_port(unhex("0000")).error(), Errc::malformed);
  EXPECT_EQ(decode_change_request(unhex("000000")).error(), Errc::malformed);
  EXPECT_EQ(decode_unknown_attributes(unhex("00010002")).value(),
            (std::vector<std::uint16_t>{1, 2}));
  EXPECT_EQ(decode_unknown_attributes(unhex("000100")).error(), Errc::malformed);
  EXPECT_EQ(decode_password_algorithms(unhex("000200000001000455667788")).value(),
            (std::vector{PasswordAlgorithm::sha256, PasswordAlgorithm::md5}));
  EXPECT_EQ(decode_password_algorithms(unhex("00020004")).error(), Errc::malformed);
  EXPECT_EQ(decode_password_algorithms({}).error(), Errc::malformed);
  EXPECT_EQ(name(AttributeType::other_address), "OTHER-ADDRESS");
  EXPECT_EQ(name(static_cast<AttributeType>(0x1234)), "0x1234");
}

TEST(StunAttributes, TextIsReadAndWrittenUpToItsLimit) {
  using enum AttributeType;
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto can_be_written = [&](AttributeType type, const std::string& text) {
    Builder builder(out, {});
    builder.add(type, text);
    return builder.finish().has_value();
  };
  EXPECT_TRUE(can_be_written(username, std::string(508, 'x')));
  EXPECT_FALSE(can_be_written(username, std::string(509, 'x')));
  EXPECT_TRUE(decode_text(username, Bytes(508)));
  EXPECT_EQ(decode_text(username, Bytes(509)).error(), Errc::malformed);
  std::string wide;
  for (int i = 0; i < 127; ++i) wide += "\U0001f310";  // Four bytes each.
  for (const auto type : {realm, nonce, software}) {
    EXPECT_TRUE(can_be_written(type, std::string(127, 'x'))) << name(type);
    EXPECT_FALSE(can_be_written(type, std::string(128, 'x'))) << name(type);
    EXPECT_TRUE(can_be_written(type, wide)) << name(type);
    EXPECT_FALSE(can_be_written(type, wide + "x")) << name(type);
    EXPECT_FALSE(can_be_written(type, std::string(600, '\x80'))) << name(type);
    EXPECT_EQ(decode_text(type, as_bytes(wide)).value(), wide) << name(type);
    EXPECT_TRUE(decode_text(type, Bytes(763))) << name(type);
    EXPECT_EQ(decode_text(type, Bytes(764)).error(), Errc::malformed) << name(type);
  }
  for (const std::size_t size : {127U, 128U}) {
    Builder builder(out, {});
    builder.add_error_code(400, std::string(size, 'x'));
    EXPECT_EQ(builder.finish().has_value(), size == 127) << size;
  }
  auto code = unhex("00000414");
  code.resize(4 + 763);
  EXPECT_EQ(decode_error_code(code).value().reason.size(), 763U);
  code.push_back('x');
  EXPECT_EQ(decode_error_code(code).error(), Errc::malformed);
}

TEST(StunAttributes, AnAlternateDomainIsANameOfDns) {
  const auto decoded = [](std::string_view text) {
    return decode_alternate_domain(as_bytes(text));
  };
  for (const char* good : {"example.org", "xn--bcher-kva.example", "a", "_stun.example-2.org"})
    EXPECT_EQ(decoded(good).value(), good);
  for (const char* bad : {"", ".", "example..org", ".org", "example.org.", "b\303\274cher.example",
                          "exa mple.org", "a/b"})
    EXPECT_EQ(decoded(bad).error(), Errc::malformed) << bad;
  EXPECT_FALSE(decoded(std::string(64, 'x') + ".org"));
  std::string longest = std::string(63, 'x') + "." + std::string(63, 'x') + ".";
  longest += std::string(63, 'x') + "." + std::string(63, 'x');
  EXPECT_TRUE(decoded(longest));
  EXPECT_FALSE(decoded(longest + ".x"));
  std::array<std::uint8_t, 512> out{};
  Builder builder(out, {});
  builder.add(AttributeType::alternate_domain, longest);
  const auto message = Message::parse(builder.finish().value()).value();
  EXPECT_EQ(decode_alternate_domain(*message.find(AttributeType::alternate_domain)).value(),
            longest);
  builder.add(AttributeType::alternate_domain, std::string(256, 'x'));
  EXPECT_EQ(builder.finish().error(), Errc::too_large);
}

TEST(StunAttributes, PasswordAlgorithmsSurviveTheMessage) {
  using enum PasswordAlgorithm;
  std::array<std::uint8_t, 64> out{};
  Builder builder(out, {});
  builder.add_password_algorithms(std::array{sha256, md5});
  builder.add_password_algorithm(sha256);
  const auto message = Message::parse(builder.finish().value()).value();
  EXPECT_EQ(to_hex(*message.find(AttributeType::password_algorithms)), "0002000000010000");
  EXPECT_EQ(decode_password_algorithms(*message.find(AttributeType::password_algorithms)).value(),
            (std::vector{sha256, md5}));
  EXPECT_EQ(decode_password_algorithm(*message.find(AttributeType::password_algorithm)).value(),
            sha256);
}

TEST(StunAttributes, AUserhashHas32Bytes) {
  const auto bytes = unhex(kSha256);
  const auto message = Message::parse(bytes).value();
  const auto value = *message.find(AttributeType::userhash);
  EXPECT_EQ(decode_userhash(value).value(), userhash(kMatrix, "example.org"));
  EXPECT_EQ(decode_userhash(value.first(31)).error(), Errc::malformed);
}

TEST(StunAttributes, ANonceSaysWhatItsServerCanDo) {
  const auto features = [](std::string_view nonce) { return security_features(nonce); };
  // RFC 8489, B.1: a request with a USERHASH.
  const auto bytes = unhex(kSha256);
  const auto message = Message::parse(bytes).value();
  const auto nonce = decode_text(AttributeType::nonce, *message.find(AttributeType::nonce)).value();
  EXPECT_EQ(features(nonce), (SecurityFeatures{false, true}));
  EXPECT_EQ(features("obMatJos2AAAA"), SecurityFeatures());
  EXPECT_EQ(features("obMatJos2AAAB"), (SecurityFeatures{true, false}));
  EXPECT_EQ(features("obMatJos2AAADx"), (SecurityFeatures{true, true}));
  EXPECT_EQ(features("obMatJos2////"), (SecurityFeatures{true, true}));
  for (const char* none : {"", "f//499k954d6OL34oL9FSTvy64sA", "obMatJos2", "obMatJos2AAA",
                           "obMatJos2AA!A", "obMatJos1AAAB"})
    EXPECT_EQ(features(none), std::nullopt) << none;
}

/// MESSAGE-INTEGRITY-SHA256 in so many bytes, right by RFC 8489, 14.6: over the header, whose
/// length counts the attribute.
Bytes with_sha256_of(std::size_t size, BytesView key) {
  std::array<std::uint8_t, 128> out{};
  Builder builder(out, {});
  builder.add(AttributeType::message_integrity_sha256, Bytes(size));
  const auto bytes = builder.finish().value();
  Bytes whole(bytes.begin(), bytes.end());
  auto value = crypto::hmac_sha256(key, {BytesView(whole).first(kHeaderBytes)});
  std::ranges::copy_n(value.begin(), static_cast<std::ptrdiff_t>(std::min(size, value.size())),
                      whole.begin() + kHeaderBytes + 4);
  return whole;
}

TEST(StunIntegrity, ACutSha256IsAcceptedDownTo16Bytes) {
  const auto key = as_bytes("key");
  for (const std::size_t size : {16U, 20U, 24U, 28U, 32U}) {
    auto whole = with_sha256_of(size, key);
    EXPECT_TRUE(check_integrity(Message::parse(whole).value(), key)) << size;
    whole[kHeaderBytes + 4 + size - 1] ^= 1;
    EXPECT_EQ(check_integrity(Message::parse(whole).value(), key).error(), Errc::bad_signature);
  }
  for (const std::size_t size : {0U, 12U, 18U, 30U, 36U}) {
    const auto whole = with_sha256_of(size, key);
    EXPECT_EQ(check_integrity(Message::parse(whole).value(), key).error(), Errc::malformed) << size;
  }
  std::array<std::uint8_t, 64> out{};
  const Builder none(out, {});
  EXPECT_EQ(check_integrity(Message::parse(none.bytes()).value(), key).error(), Errc::not_found);
}

}  // namespace
}  // namespace pyrsia::stun

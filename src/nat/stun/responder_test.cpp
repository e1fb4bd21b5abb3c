#include "nat/stun/responder.hpp"

#include "base/hex.hpp"
#include "nat/stun/builder.hpp"
#include "nat/stun/client.hpp"
#include "nat/stun/lender.hpp"

#include <gtest/gtest.h>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;

Endpoint at(std::string_view ip, std::uint16_t port) {
  return {IpAddress::parse(ip).value(), port};
}

const Endpoint kClient = at("198.51.100.7", 40000);
const TimePoint kNow(1h);
constexpr TransactionId kTransaction{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/// A server with two addresses of two ports each, as RFC 5780 has it.
const std::vector<Endpoint> kFour{at("192.0.2.1", 3478), at("192.0.2.1", 3479),
                                  at("192.0.2.2", 3478), at("192.0.2.2", 3479)};

struct Asked {
  explicit Asked(std::vector<Endpoint> sockets, ResponderConfig config = {})
      : responder(std::move(config), std::move(sockets), 7) {}

  Answer ask(BytesView bytes, std::size_t socket = 0) {
    answer = responder.answer({bytes, client, socket, to}, kNow, out);
    return answer;
  }
  Answer ask(const Query& query, std::size_t socket = 0) {
    std::array<std::uint8_t, kMaxMessageBytes> request{};
    return ask(encode_query(query, kTransaction, request).value(), socket);
  }
  Message message() const { return Message::parse(BytesView(out).first(answer.size)).value(); }
  /// As the client reads it, who is on the same machine or network as the server.
  Response response() const { return decode_response(message(), client.ip).value(); }

  Responder responder;
  Endpoint client = kClient;
  IpAddress to;  ///< Of ours, that it is sent to.
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  Answer answer;
};

Query plain() {
  Query query;
  query.has_fingerprint = false;
  return query;
}

Query change(bool ip, bool port) {
  auto query = plain();
  query.change = {ip, port};
  return query;
}

TEST(StunResponder, ThePlainAnswerHas32Bytes) {
  Asked asked({at("192.0.2.1", 3478)});
  const auto answer = asked.ask(plain());
  EXPECT_EQ(answer.size, 32U);
  EXPECT_EQ(answer.to, kClient);
  EXPECT_EQ(asked.message().header().transaction, kTransaction);
  EXPECT_EQ(asked.message().header().message_class, MessageClass::success);
  EXPECT_EQ(asked.response().mapped, kClient);
}

// What a forger can have sent to another for 20 bytes of his: ADR 24.
TEST(StunResponder, NoAnswerIsLargerThanWhatTheAddressesTake) {
  EXPECT_EQ(Asked(kFour).ask(plain()).size, 56U);
  Asked one({at("2001:db8::1", 3478)});
  one.client = at("2001:db8:9::1", 4000);
  EXPECT_EQ(one.ask(plain()).size, 44U);
  Asked v6({at("2001:db8::1", 3478), at("2001:db8::1", 3479), at("2001:db8::2", 3478),
            at("2001:db8::2", 3479)});
  v6.client = at("2001:db8:9::1", 4000);
  EXPECT_EQ(v6.ask(plain()).size, 92U);
}

TEST(StunResponder, AFingerprintIsAnsweredByOne) {
  Asked asked({at("192.0.2.1", 3478)});
  auto query = plain();
  query.has_fingerprint = true;
  EXPECT_EQ(asked.ask(query).size, 40U);
  EXPECT_TRUE(asked.message().has_fingerprint());
}

TEST(StunResponder, WithTwoAddressesItSaysSoAndAnswersFromEach) {
  Asked asked(kFour);
  for (std::size_t socket = 0; socket < kFour.size(); ++socket) {
    EXPECT_EQ(asked.ask(plain(), socket).socket, socket);
    EXPECT_EQ(asked.response().origin, kFour[socket]);
    EXPECT_EQ(asked.response().other, kFour[3 - socket]);
    EXPECT_EQ(asked.ask(change(false, true), socket).socket, socket ^ 1U);
    EXPECT_EQ(asked.response().origin, kFour[socket ^ 1U]);
    EXPECT_EQ(asked.ask(change(true, false), socket).socket, socket ^ 2U);
    EXPECT_EQ(asked.ask(change(true, true), socket).socket, socket ^ 3U);
    EXPECT_EQ(asked.answer.to, kClient);
  }
}

TEST(StunResponder, WhatItCannotChangeItRefuses) {
  Asked asked({at("192.0.2.1", 3478), at("2001:db8::1", 3479)});
  (void)asked.ask(change(false, true));
  EXPECT_EQ(asked.response().error, 420);
  EXPECT_EQ(asked.response().unknown, std::vector<std::uint16_t>{3});
  EXPECT_EQ(asked.answer.to, kClient);
  (void)asked.ask(plain());
  EXPECT_EQ(asked.response().other, std::nullopt);
}

TEST(StunResponder, AMemberLendsItsAddress) {
  Asked asked({at("192.0.2.1", 3478), at("192.0.2.1", 3479)});
  asked.responder.set_members(at("192.0.2.9", 0).ip, {});
  (void)asked.ask(plain());
  EXPECT_EQ(asked.response().other, at("192.0.2.9", 3479));
  const auto both = asked.ask(change(true, true));
  EXPECT_EQ(both.size, 0U);
  ASSERT_TRUE(both.lend);
  EXPECT_EQ(*both.lend, (Lend{kClient, kMagicCookie, kTransaction, 3479, false}));
  EXPECT_EQ(asked.ask(change(true, false), 1).lend->source_port, 3479);
  EXPECT_EQ(asked.ask(change(false, true)).socket, 1U);

  Asked other({at("192.0.2.9", 3478), at("192.0.2.9", 3479)});
  other.answer = other.responder.answer_for(*both.lend, 0, {}, other.out);
  EXPECT_EQ(other.answer.socket, 1U);
  EXPECT_EQ(other.answer.to, kClient);
  EXPECT_EQ(other.message().header().transaction, kTransaction);
  EXPECT_EQ(other.response().mapped, kClient);
  auto lend = *both.lend;
  lend.source_port = 99;
  EXPECT_EQ(other.responder.answer_for(lend, 0, {}, other.out).size, 0U);
}

TEST(StunResponder, ALendIsAnsweredFromTheAddressThatItWasSentTo) {
  Asked asked(kFour);
  const Lend lend{kClient, kMagicCookie, kTransaction, 3479, false};
  EXPECT_EQ(asked.responder.answer_for(lend, 0, {}, asked.out).socket, 1U);
  EXPECT_EQ(asked.responder.answer_for(lend, 2, {}, asked.out).socket, 3U);
}

TEST(StunResponder, AMemberIsOfferedToNobodyWhomItCannotReach) {
  Asked asked({at("5.6.7.8", 3478), at("5.6.7.8", 3479)});
  asked.responder.set_members(at("9.9.9.9", 0).ip, {});
  for (const auto* ip : {"192.168.1.7", "100.64.3.7", "127.0.0.1", "169.254.1.1"}) {
    asked.client.ip = at(ip, 0).ip;
    (void)asked.ask(plain());
    EXPECT_EQ(asked.response().other, std::nullopt) << ip;
    EXPECT_FALSE(asked.ask(change(true, true)).lend) << ip;
    EXPECT_EQ(asked.response().error, 420) << ip;
  }
  EXPECT_EQ(asked.responder.metrics().not_lent.value(), 4U);
  asked.client.ip = at("1.2.3.4", 0).ip;
  EXPECT_TRUE(asked.ask(change(true, true)).lend);
}

TEST(StunResponder, MoreLendsThanAMemberTakesAreRefusedWithAWord) {
  ResponderConfig config;
  config.lend_limit = {1, 2, 1};
  Asked asked({at("192.0.2.1", 3478), at("192.0.2.1", 3479)}, config);
  asked.responder.set_members(at("192.0.2.9", 0).ip, {});
  for (std::uint16_t i = 0; i < 5; ++i) {
    // Each pretends to be another, so that no limit of a source stops it.
    asked.client.ip = IpAddress::v4({203, 0, 113, static_cast<std::uint8_t>(i)});
    EXPECT_EQ(asked.ask(change(true, true)).lend.has_value(), i < 2);
    if (i >= 2) EXPECT_EQ(asked.response().error, 500);
  }
  EXPECT_EQ(asked.responder.metrics().lends_over.value(), 3U);
  const LenderConfig lender;
  EXPECT_LT(ResponderConfig().lend_limit.per_second, lender.limit.per_second);
  EXPECT_LT(ResponderConfig().lend_limit.burst, lender.limit.burst);
}

TEST(StunResponder, UnknownAttributesThatMustBeUnderstoodAreNamed) {
  Asked asked({at("192.0.2.1", 3478)});
  std::array<std::uint8_t, 256> request{};
  Builder builder(request, {});
  builder.add_u32(static_cast<AttributeType>(0x7777), 0);
  builder.add_u32(static_cast<AttributeType>(0x8777), 0);
  builder.add_address(AttributeType::response_address, kClient);
  (void)asked.ask(builder.bytes());
  EXPECT_EQ(asked.response().error, 420);
  EXPECT_EQ(asked.response().unknown, (std::vector<std::uint16_t>{0x7777, 0x0002}));
  EXPECT_EQ(asked.responder.metrics().refused.value(), 1U);
}

TEST(StunResponder, ManyUnknownAttributesDoNotSwellTheAnswer) {
  Asked asked({at("192.0.2.1", 3478)});
  std::array<std::uint8_t, kMaxMessageBytes> request{};
  Builder builder(request, {});
  for (int i = 0; i < 400; ++i) builder.add(static_cast<AttributeType>(0x7000 + i), BytesView());
  EXPECT_LT(asked.ask(builder.bytes()).size, 80U);
}

TEST(StunResponder, ThePortOfTheResponseMayBeChosen) {
  Asked asked({at("192.0.2.1", 3478)});
  auto query = plain();
  query.response_port = 1234;
  EXPECT_EQ(asked.ask(query).to, at("198.51.100.7", 1234));
  EXPECT_EQ(asked.response().mapped, kClient);
  query.padding = 100;
  (void)asked.ask(query);
  EXPECT_EQ(asked.answer.to, kClient);
  EXPECT_EQ(asked.response().error, 400);
}

TEST(StunResponder, APaddedAnswerIsNoLargerThanItsRequest) {
  Asked asked(kFour);
  for (std::size_t padding = 1; padding < 1800; padding += 7) {
    auto query = plain();
    query.padding = padding;
    query.has_fingerprint = padding % 2 == 0;
    std::array<std::uint8_t, kMaxMessageBytes> request{};
    const auto bytes = encode_query(query, kTransaction, request).value();
    (void)asked.ask(bytes);
    const bool has_room = bytes.size() > 80;
    if (has_room) EXPECT_LE(asked.answer.size, bytes.size());
    if (has_room) EXPECT_GE(asked.answer.size + 8, bytes.size());
  }
}

TEST(StunResponder, AnOldClientGetsWhatItUnderstands) {
  Asked asked(kFour);
  // As the Debian program `stun` asks.
  const auto request = from_hex("00010008deadbeef000102030405060708090a0b0003000400000000").value();
  EXPECT_EQ(asked.ask(request).size, 56U);
  const auto message = asked.message();
  EXPECT_EQ(message.header().cookie, 0xdeadbeefU);
  EXPECT_FALSE(message.has(AttributeType::xor_mapped_address));
  EXPECT_EQ(find_address(message, AttributeType::mapped_address), kClient);
  EXPECT_EQ(find_address(message, AttributeType::source_address), kFour[0]);
  EXPECT_EQ(find_address(message, AttributeType::changed_address), kFour[3]);
}

TEST(StunResponder, OnlyBindingRequestsAreAnswered) {
  Asked asked({at("192.0.2.1", 3478)});
  std::array<std::uint8_t, 64> out{};
  for (const auto message_class :
       {MessageClass::indication, MessageClass::success, MessageClass::error}) {
    Header header;
    header.message_class = message_class;
    EXPECT_EQ(asked.ask(Builder(out, header).bytes()).size, 0U);
  }
  Header allocate;
  allocate.method = static_cast<Method>(3);
  EXPECT_EQ(asked.ask(Builder(out, allocate).bytes()).size, 0U);
  EXPECT_EQ(asked.ask(as_bytes("GET / HTTP/1.1\r\n\r\n....")).size, 0U);
  EXPECT_EQ(asked.responder.metrics().ignored.value(), 4U);
  EXPECT_EQ(asked.responder.metrics().malformed.value(), 1U);
}

TEST(StunResponder, ASourceThatAsksTooOftenIsNotAnswered) {
  ResponderConfig config;
  config.limit = {1, 3, 64};
  Asked asked({at("192.0.2.1", 3478)}, config);
  for (int i = 0; i < 10; ++i) (void)asked.ask(plain());
  EXPECT_EQ(asked.responder.metrics().answered.value(), 3U);
  EXPECT_EQ(asked.responder.metrics().limited.value(), 7U);
}

TEST(StunResponder, OnAllAddressesItTellsTheOneThatWasAsked) {
  Asked asked({at("0.0.0.0", 3478), at("0.0.0.0", 3479)});
  asked.client.ip = at("1.2.3.4", 0).ip;
  asked.responder.set_members(at("9.9.9.9", 0).ip, {});
  asked.to = at("5.6.7.8", 0).ip;
  (void)asked.ask(plain());
  EXPECT_EQ(asked.response().origin, at("5.6.7.8", 3478));
  EXPECT_EQ(asked.response().other, at("9.9.9.9", 3479));
  EXPECT_EQ(asked.ask(change(false, true)).socket, 1U);
  EXPECT_EQ(asked.response().origin, at("5.6.7.8", 3479));
  EXPECT_EQ(asked.ask(change(true, true)).lend->source_port, 3479);
  const Lend lend{asked.client, kMagicCookie, kTransaction, 3479, false};
  asked.answer = asked.responder.answer_for(lend, 0, asked.to, asked.out);
  EXPECT_EQ(asked.response().origin, at("5.6.7.8", 3479));
}

TEST(StunResponder, AnAddressThatANatHasChangedIsNotTold) {
  Asked asked({at("0.0.0.0", 3478), at("0.0.0.0", 3479)});
  asked.client.ip = at("1.2.3.4", 0).ip;
  asked.responder.set_members(at("9.9.9.9", 0).ip, {});
  asked.to = at("10.0.0.5", 0).ip;
  (void)asked.ask(plain());
  EXPECT_EQ(asked.response().origin, std::nullopt);
  EXPECT_EQ(asked.response().other, at("9.9.9.9", 3479));
}

TEST(StunResponder, ASocketForAllAddressesIsNoSecondOne) {
  Asked asked({at("192.0.2.1", 3478), at("0.0.0.0", 3479)});
  (void)asked.ask(plain());
  EXPECT_EQ(asked.response().other, std::nullopt);
  (void)asked.ask(change(true, true));
  EXPECT_EQ(asked.response().error, 420);
}

}  // namespace
}  // namespace pyrsia::stun

#include "protocols/autonat_v2/exchange.hpp"

#include "protocols/autonat_v2/sibling/exchange.hpp"
#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/frame.hpp"

#include <gtest/gtest.h>

namespace pyrsia::autonat_v2 {
namespace {

using namespace std::chrono_literals;

constexpr DialResponse kReached{ResponseStatus::ok, 0, DialStatus::ok};

DialRequest sample() {
  return {{*Multiaddr::parse("/ip4/1.2.3.4/tcp/44000")}, 7};
}

Task<DialResponse> ask(Stream& stream, std::uint64_t& paid_bytes) {
  co_return co_await request(stream, sample(), kMaxDialDataBytes, paid_bytes);
}

Task<TimePoint> ask_and_look_at_the_clock(Env& env, Stream& stream) {
  std::uint64_t paid = 0;
  PYRSIA_CO_TRY(const auto response, co_await ask(stream, paid));
  EXPECT_EQ(response, kReached);
  EXPECT_EQ(paid, 0u);
  co_return env.now();
}

Task<DialRequest> serve(Stream& stream, std::uint64_t price) {
  PYRSIA_CO_TRY(auto asked, co_await receive_request(stream));
  if (price > 0) {
    const DialDataRequest data{0, price};
    PYRSIA_CO_TRY(co_await collect_dial_data(stream, data));
  }
  PYRSIA_CO_TRY(co_await respond(stream, kReached));
  co_return asked;
}

TEST(AutonatV2Exchange, TakesOneRoundTrip) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 25ms, .max_read_bytes = 3});

  auto [answered_at, asked] = world.run(ask_and_look_at_the_clock(world.env(), *a), serve(*b, 0));

  ASSERT_TRUE(answered_at && asked);
  EXPECT_EQ(*answered_at, TimePoint(50ms));
  EXPECT_EQ(*asked, sample());
}

TEST(AutonatV2Exchange, DialDataIsPaidToTheByteThroughASmallWindow) {
  for (const std::uint64_t price : {30'000u, 32'001u, 36'000u, 100'000u}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 5ms, .buffer_bytes = 4096});
    std::uint64_t paid = 0;
    auto [response, asked] = world.run(ask(*a, paid), serve(*b, price));
    ASSERT_TRUE(response && asked) << price;
    EXPECT_EQ(paid, price);
  }
}

TEST(AutonatV2Exchange, UnusualPricesAreNotPaid) {
  for (const std::uint64_t price : {1u, 29'999u, 100'001u}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    std::uint64_t paid = 0;
    auto [response, asked] = world.run(ask(*a, paid), serve(*b, price));
    EXPECT_EQ(response.error(), Errc::refused) << price;
    EXPECT_FALSE(asked);  // The stream was reset.
    EXPECT_EQ(paid, 0u);
  }
}

Task<> write_messages(Stream& stream, std::vector<Message> messages) {
  for (const auto& message : messages) {
    const auto bytes = encode(message);
    PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  }
  co_return ok;
}

TEST(AutonatV2Exchange, OfSeveralAnswersTheFirstCounts) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  std::uint64_t paid = 0;
  const DialResponse second{ResponseStatus::ok, 0, DialStatus::dial_error};
  auto [response, sent] =
      world.run(ask(*a, paid), write_messages(*b, {Message(kReached), Message(second)}));
  ASSERT_TRUE(response);
  EXPECT_EQ(*response, kReached);
}

TEST(AutonatV2Exchange, AnAnswerAboutAnotherAddressIsAViolation) {
  for (const auto& answer :
       {Message(DialResponse{ResponseStatus::ok, 1, DialStatus::ok}),
        Message(DialDataRequest{1, 30'000}), Message(DialDataResponse{100}), Message(sample())}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    std::uint64_t paid = 0;
    auto [response, sent] = world.run(ask(*a, paid), write_messages(*b, {answer}));
    EXPECT_EQ(response.error(), Errc::protocol_violation);
  }
}

TEST(AutonatV2Exchange, APriceIsAskedOnce) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  std::uint64_t paid = 0;
  const Message price(DialDataRequest{0, 30'000});
  auto [response, sent] = world.run(ask(*a, paid), write_messages(*b, {price, price}));
  EXPECT_EQ(response.error(), Errc::protocol_violation);
  EXPECT_EQ(paid, 30'000u);
}

Task<> collect(Stream& stream) {
  const DialDataRequest price{0, 30'000};
  co_return co_await collect_dial_data(stream, price);
}

std::vector<Message> chunks(std::size_t count, std::size_t bytes) {
  return std::vector<Message>(count, Message(DialDataResponse{bytes}));
}

TEST(AutonatV2Exchange, ChunksOfAHundredBytesWillDoAndSmallerOnesWillNot) {
  for (const std::size_t bytes : {100u, 99u, 0u}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    auto [collected, sent] = world.run(collect(*b), write_messages(*a, chunks(300, bytes)));
    EXPECT_EQ(bool(collected), bytes == 100) << bytes;
    if (!collected) EXPECT_EQ(collected.error(), Errc::protocol_violation);
  }
}

TEST(AutonatV2Exchange, TheLastChunkMayBeShortOrTooLong) {
  for (const std::size_t last : {1u, 4000u}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    auto sent_chunks = chunks(30, last == 1 ? 1000 : 999);
    if (last == 1) sent_chunks.back() = DialDataResponse{999};
    sent_chunks.push_back(DialDataResponse{last});
    auto [collected, sent] = world.run(collect(*b), write_messages(*a, std::move(sent_chunks)));
    EXPECT_TRUE(collected) << last;
  }
}

TEST(AutonatV2Exchange, AnotherMessageAmongTheDataIsAViolation) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [collected, sent] = world.run(collect(*b), write_messages(*a, {Message(sample())}));
  EXPECT_EQ(collected.error(), Errc::protocol_violation);
}

TEST(AutonatV2Exchange, ShortDataCostsTheTimeoutAndNoMore) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [collected, sent] =
      world.run(with_timeout(world.env(), 10s, collect(*b)), write_messages(*a, chunks(7, 4000)));
  EXPECT_EQ(collected.error(), Errc::timed_out);
  EXPECT_EQ(world.now(), TimePoint(10s));
}

Task<std::uint64_t> take_nonce(Stream& stream) {
  PYRSIA_CO_TRY(const auto nonce, co_await receive_nonce(stream));
  PYRSIA_CO_TRY(co_await confirm_nonce(stream));
  co_return nonce;
}

Task<> take_nonce_and_end(Stream& stream) {
  PYRSIA_CO_TRY(co_await receive_nonce(stream));
  co_return co_await stream.close_write();
}

Task<> take_nonce_and_reset(Stream& stream) {
  PYRSIA_CO_TRY(co_await receive_nonce(stream));
  stream.reset();
  co_return ok;
}

TEST(AutonatV2Exchange, ANonceIsHandedOver) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 10ms});
  auto [sent, taken] = world.run(send_nonce(*a, 42), take_nonce(*b));
  EXPECT_TRUE(sent) << sent.error();
  EXPECT_EQ(taken.value(), 42u);
}

TEST(AutonatV2Exchange, AnEndInOrderIsAnAnswerAndAResetIsNone) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [ended, taken] = world.run(send_nonce(*a, 42), take_nonce_and_end(*b));
  EXPECT_TRUE(ended);
  auto [c, d] = sim::make_pipe(world.env(), {});
  auto [reset, dropped] = world.run(send_nonce(*c, 42), take_nonce_and_reset(*d));
  EXPECT_FALSE(reset);
}

TEST(AutonatV2Exchange, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    std::uint64_t paid = 0;
    auto [response, asked] = world.run(ask(*a, paid), serve(*b, 30'000));
    if (response && asked) break;
    EXPECT_TRUE(response || response.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(asked || asked.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 200);
  }
}

TEST(AutonatV2Exchange, DialBacksEndCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    auto [sent, taken] = world.run(send_nonce(*a, 42), take_nonce(*b));
    if (sent && taken) break;
    EXPECT_TRUE(sent || sent.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(taken || taken.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

sibling::Request help_request() {
  const auto peer = PeerId::parse("12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A");
  return {*peer, *Multiaddr::parse("/ip4/1.2.3.4/tcp/44000"), 7, std::chrono::milliseconds(120)};
}

Task<sibling::Request> help(Stream& stream, sibling::Response response) {
  PYRSIA_CO_TRY(auto asked, co_await sibling::receive_request(stream));
  PYRSIA_CO_TRY(co_await sibling::respond(stream, response));
  co_return asked;
}

TEST(SiblingExchange, EndsCleanlyWhereverTheStreamBreaks) {
  const sibling::Response dialed{sibling::Status::dialed, DialStatus::dial_error};
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    auto [response, asked] = world.run(sibling::request(*a, help_request()), help(*b, dialed));
    if (response && asked) {
      EXPECT_EQ(*response, dialed);
      EXPECT_EQ(*asked, help_request());
      break;
    }
    EXPECT_TRUE(response || response.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(asked || asked.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

TEST(SiblingWire, StatusesThatDoNotFitAreMalformed) {
  EXPECT_FALSE(sibling::decode_response(Bytes{0x08, 0x63}));
  EXPECT_FALSE(sibling::decode_response(Bytes{0x08, 0xc8, 0x01}));  // Dialed, and then?
  EXPECT_EQ(sibling::decode_response({}).value(), sibling::Response());
  EXPECT_EQ(sibling::decode_request({}).error(), Errc::malformed);
  EXPECT_EQ(sibling::decode_request(Bytes(sibling::kMaxMessageBytes + 1)).error(), Errc::too_large);
  EXPECT_EQ(sibling::decode_request(sibling::encode(help_request())).value(), help_request());
}

}  // namespace
}  // namespace pyrsia::autonat_v2

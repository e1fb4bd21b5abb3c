#include "wire/multistream.hpp"

#include "runtime/timeout.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/buffered_stream.hpp"

#include <gtest/gtest.h>

namespace pyrsia::wire {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kBoth = {"/noise", "/tls/1.0.0"};

bool takes_noise(std::string_view protocol) {
  return protocol == "/noise";
}

Task<std::string> answer_noise(Stream& stream) {
  co_return co_await answer(stream, takes_noise, kBoth);
}

Bytes lines(std::initializer_list<std::string_view> texts) {
  Bytes bytes;
  for (const auto text : texts) append_line(bytes, text);
  return bytes;
}

Task<> send(Stream& stream, Bytes bytes) {
  co_return co_await stream.write_all(bytes);
}

Task<std::string> read_text(Stream& stream, std::size_t count) {
  Bytes bytes(count);
  PYRSIA_CO_TRY(co_await read_exactly(stream, bytes));
  co_return std::string(as_text(bytes));
}

TEST(Line, HasTheBytesOfTheSpec) {
  EXPECT_EQ(lines({"na"}), (Bytes{3, 'n', 'a', '\n'}));
  EXPECT_EQ(lines({kMultistream}).front(), 0x13);
  const std::string longest(kMaxLineBytes - 1, 'x');
  const auto bytes = lines({longest});
  EXPECT_EQ(bytes[0], 0x80);
  EXPECT_EQ(bytes[1], 0x08);
}

TEST(Line, IsRefusedIfTooLongEmptyOrWithoutNewline) {
  const auto parse = [](Bytes bytes) -> Result<> {
    LineParser parser;
    for (const auto& byte : bytes) PYRSIA_TRY(parser.add(BytesView(&byte, 1)));
    return ok;
  };
  EXPECT_EQ(parse({0x81, 0x08}).error(), Errc::too_large);
  EXPECT_EQ(parse({0xff, 0xff}).error(), Errc::too_large);
  EXPECT_EQ(parse({0}).error(), Errc::malformed);
  EXPECT_EQ(parse({0x83, 0}).error(), Errc::malformed);
  EXPECT_EQ(parse({2, 'n', 'a'}).error(), Errc::malformed);
}

TEST(Multistream, TakesTheFirstProposalThatIsSupported) {
  sim::World world;
  const sim::PipeConfig config{.one_way_delay = 50ms, .max_read_bytes = 1};
  auto [a, b] = sim::make_pipe(world.env(), config);
  auto [proposed, answered] = world.run(propose(*a, {"/tls/1.0.0", "/noise"}), answer_noise(*b));
  EXPECT_EQ(*proposed, "/noise");
  EXPECT_EQ(*answered, "/noise");
  EXPECT_EQ(world.now(), TimePoint(200ms));  // A round trip for each proposal.
}

TEST(Multistream, EndsWhenNothingIsSupported) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto [proposed, answered] = world.run(propose(*a, {"/x", "/y"}), answer_noise(*b));
  EXPECT_EQ(proposed.error(), Errc::not_supported);
}

Task<std::string> answer_then_read(Stream& stream, std::size_t count) {
  PYRSIA_CO_TRY(const auto protocol, co_await answer_noise(stream));
  PYRSIA_CO_TRY(const auto rest, co_await read_text(stream, count));
  co_return protocol + rest;
}

TEST(Multistream, LeavesWhatFollowsToTheNextReader) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  BufferedStream buffered(std::move(b));
  auto early = lines({kMultistream, "/noise"});
  early.insert(early.end(), {'h', 'i'});
  auto [sent, answered] = world.run(send(*a, early), answer_then_read(buffered, 2));
  EXPECT_EQ(*answered, "/noisehi");
}

TEST(Multistream, ListsItsProtocols) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  const auto header = lines({kMultistream});
  const std::string list = "\x15\x07/noise\n\x0b/tls/1.0.0\n\n";
  auto [sent, answered, text] =
      world.run(send(*a, lines({kMultistream, "ls", "/noise"})), answer_noise(*b),
                read_text(*a, header.size() + list.size()));
  EXPECT_EQ(*answered, "/noise");
  EXPECT_EQ(text->substr(header.size()), list);
}

TEST(Multistream, ResetsAnOptimisticInitiatorAfterARefusal) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto early = lines({kMultistream, "/unknown"});
  early.insert(early.end(), {0xff, 0xff, 0xff});
  auto [sent, answered] = world.run(send(*a, early), answer_noise(*b));
  EXPECT_EQ(answered.error(), Errc::too_large);
  auto [after] = world.run(send(*a, {1}));
  EXPECT_EQ(after.error(), Errc::closed);
}

TEST(Multistream, AnswersOnlySoManyProposals) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto many = lines({kMultistream});
  for (int i = 0; i <= kMaxProposals; ++i) append_line(many, "/x");
  auto [sent, answered] = world.run(send(*a, many), answer_noise(*b));
  EXPECT_EQ(answered.error(), Errc::not_supported);
}

TEST(Multistream, RefusesWhatIsNoHeaderAndWhatIsNoProposal) {
  for (const auto& bytes : {lines({"/multistream/2.0.0"}), lines({kMultistream, "noise"})}) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {});
    auto [sent, answered] = world.run(send(*a, bytes), answer_noise(*b));
    EXPECT_EQ(answered.error(), Errc::protocol_violation);
  }
}

Task<std::string> request(Stream& stream) {
  PYRSIA_CO_TRY(co_await stream.write_all(as_bytes("ping")));
  PYRSIA_CO_TRY(co_await stream.close_write());
  co_return co_await read_text(stream, 4);
}

Task<std::string> respond(Stream& stream) {
  PYRSIA_CO_TRY(const auto protocol, co_await answer_noise(stream));
  PYRSIA_CO_TRY(auto text, co_await read_text(stream, 4));
  std::uint8_t byte = 0;
  const std::span<std::uint8_t> end(&byte, 1);
  PYRSIA_CO_TRY(const auto read, co_await stream.read_some(end));
  if (read != 0) co_return Errc::protocol_violation;
  PYRSIA_CO_TRY(co_await stream.write_all(as_bytes("pong")));
  PYRSIA_CO_TRY(co_await stream.close_write());
  co_return text;
}

TEST(LazyStream, CostsNoRoundTripAndItsCloseDoesNotWait) {
  sim::World world;
  const sim::PipeConfig config{.one_way_delay = 50ms, .max_read_bytes = 1};
  auto [a, b] = sim::make_pipe(world.env(), config);
  auto lazy = propose_lazily(std::move(a), "/noise");
  auto [answered, served] = world.run(request(*lazy), respond(*b));
  EXPECT_EQ(*answered, "pong");
  EXPECT_EQ(*served, "ping");
  EXPECT_EQ(world.now(), TimePoint(100ms));
}

Task<> wait_readable(Stream& stream) {
  co_return co_await stream.wait_readable();
}

TEST(LazyStream, SendsTheProposalWhenItIsFirstRead) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto lazy = propose_lazily(std::move(a), "/noise");
  auto [waited, served] = world.run(wait_readable(*lazy), answer_noise(*b));
  EXPECT_EQ(*served, "/noise");
  EXPECT_EQ(waited.error(), Errc::deadlock);  // Agreed; and nothing more comes.
}

TEST(LazyStream, ContinuesAnAnswerWhoseReadWasCancelled) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  auto lazy = propose_lazily(std::move(a), "/noise");
  auto [late] = world.run(with_timeout(world.env(), 1s, read_text(*lazy, 1)));
  EXPECT_EQ(late.error(), Errc::timed_out);
  auto reply = lines({kMultistream, "/noise"});
  auto [sent, later] = world.run(send(*b, Bytes(reply.begin(), reply.begin() + 9)),
                                 with_timeout(world.env(), 1s, read_text(*lazy, 1)));
  EXPECT_EQ(later.error(), Errc::timed_out);
  Bytes rest(reply.begin() + 9, reply.end());
  rest.push_back('!');
  auto [sent_rest, text] = world.run(send(*b, rest), read_text(*lazy, 1));
  EXPECT_EQ(*text, "!");
}

TEST(LazyStream, FailsOnARefusalAndOnNonsense) {
  const std::string_view nonsense = "HTTP/1.1 400 Bad Request";
  const std::vector<std::pair<Bytes, Errc>> cases = {
      {lines({kMultistream, "na"}), Errc::not_supported},
      {lines({kMultistream, "/other"}), Errc::protocol_violation},
      {Bytes(nonsense.begin(), nonsense.end()), Errc::protocol_violation},
  };
  for (const auto& [bytes, error] : cases) {
    for (const std::size_t max_read : {std::size_t(1), std::size_t(1000)}) {
      sim::World world;
      auto [a, b] = sim::make_pipe(world.env(), {.max_read_bytes = max_read});
      auto lazy = propose_lazily(std::move(a), "/n");
      auto [sent, text] = world.run(send(*b, bytes), read_text(*lazy, 1));
      EXPECT_EQ(text.error(), error);
      auto [again] = world.run(send(*lazy, {1}));
      EXPECT_EQ(again.error(), error);
    }
  }
}

TEST(Multistream, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    auto [proposed, answered] = world.run(propose(*a, {"/tls/1.0.0", "/noise"}), answer_noise(*b));
    if (proposed && answered) break;
    EXPECT_TRUE(proposed || proposed.error() == Errc::closed) << fail_after;
    // A peer that leaves after our refusal found nothing it could use.
    EXPECT_TRUE(answered || answered.error() == Errc::closed ||
                answered.error() == Errc::not_supported)
        << fail_after;
    ASSERT_LT(fail_after, 60);
  }
}

TEST(LazyStream, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    auto [a, b] = sim::make_pipe(world.env(), {.one_way_delay = 1ms, .fail_after = fail_after});
    auto lazy = propose_lazily(std::move(a), "/noise");
    auto [answered, served] = world.run(request(*lazy), respond(*b));
    if (answered && served) break;
    EXPECT_TRUE(answered || answered.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(served || served.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 60);
  }
}

}  // namespace
}  // namespace pyrsia::wire

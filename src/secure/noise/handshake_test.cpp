#include "secure/noise/handshake.hpp"

#include "crypto/x25519.hpp"
#include "runtime/timeout.hpp"
#include "secure/buffer_pool.hpp"
#include "secure/noise/channel.hpp"
#include "secure/noise/state.hpp"
#include "secure/noise/wire.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::secure::noise {
namespace {

using namespace std::chrono_literals;

KeyPair key(std::uint8_t seed) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(seed);
  return KeyPair::from_seed(bytes);
}

struct Peers {
  explicit Peers(Env& env, std::vector<std::string> a_muxers = {"/yamux/1.0.0"},
                 std::vector<std::string> b_muxers = {"/yamux/1.0.0"})
      : a(env, key(1), std::move(a_muxers)), b(env, key(2), std::move(b_muxers)) {}

  Identity a;
  Identity b;
  PeerId a_id = key(1).peer_id();
  PeerId b_id = key(2).peer_id();
};

struct Secure {
  Result<Secured> a;
  Result<Secured> b;
};

Secure shake(sim::World& world, const Peers& peers, const sim::PipeConfig& config,
             const std::optional<PeerId>& expected_b) {
  auto& env = world.env();
  auto [a, b] = sim::make_pipe(env, config);
  auto [from_a, from_b] =
      world.run(handshake(env, std::move(a), Role::initiator, peers.a, expected_b),
                handshake(env, std::move(b), Role::responder, peers.b, std::nullopt));
  return {std::move(from_a), std::move(from_b)};
}

TEST(NoiseHandshake, ProvesBothPeersInOneAndAHalfRoundTrips) {
  sim::World world;
  const Peers peers(world.env());
  const auto secure = shake(world, peers, {.one_way_delay = 50ms, .max_read_bytes = 1}, peers.b_id);
  ASSERT_TRUE(secure.a) << secure.a.error();
  ASSERT_TRUE(secure.b) << secure.b.error();
  EXPECT_EQ(secure.a->peer, peers.b_id);
  EXPECT_EQ(secure.b->peer, peers.a_id);
  EXPECT_EQ(secure.a->peer_key, key(2).public_key());
  EXPECT_EQ(world.now(), TimePoint(150ms));
}

TEST(NoiseHandshake, TakesTheFirstMuxerOfTheInitiatorThatTheResponderHas) {
  struct Case {
    std::vector<std::string> initiator;
    std::vector<std::string> responder;
    std::string agreed;
  };
  const std::vector<Case> cases = {{{"/a", "/b", "/c"}, {"/c", "/b"}, "/b"},
                                   {{"/a"}, {}, ""},
                                   {{}, {"/a"}, ""},
                                   {{"/a"}, {"/b"}, ""}};
  for (const auto& c : cases) {
    sim::World world;
    const Peers peers(world.env(), c.initiator, c.responder);
    const auto secure = shake(world, peers, {}, std::nullopt);
    EXPECT_EQ(secure.a->muxer, c.agreed);
    EXPECT_EQ(secure.b->muxer, c.agreed);
  }
}

TEST(NoiseHandshake, LeavesAWrongPeerWithoutMessage3) {
  sim::World world;
  const Peers peers(world.env());
  const auto secure = shake(world, peers, {.one_way_delay = 50ms}, peers.a_id);
  EXPECT_EQ(secure.a.error(), Errc::wrong_peer);
  EXPECT_EQ(secure.b.error(), Errc::closed);
  EXPECT_EQ(world.now(), TimePoint(100ms));
}

Task<> forge(Env& env, Stream& stream, Payload payload) {
  crypto::Secret<32> secret;
  env.random(secret);
  const auto point = crypto::x25519_public(secret);
  HandshakeState state(Role::responder, {}, secret, point, secret);
  Bytes first(34);
  PYRSIA_CO_TRY(co_await read_exactly(stream, first));
  PYRSIA_CO_TRY(state.read(std::span(first).subspan(2)));
  PYRSIA_CO_TRY(auto second, state.write(encode(payload)));
  second.insert(second.begin(), {std::uint8_t(second.size() >> 8), std::uint8_t(second.size())});
  co_return co_await stream.write_all(second);
}

TEST(NoiseHandshake, RefusesAnIdentityThatDidNotSignTheStaticKey) {
  const auto thief = key(9);
  const auto real = thief.public_key().to_protobuf();
  const std::vector<std::pair<Payload, Errc>> cases = {
      {{real, thief.sign(as_bytes("another static key")), {}}, Errc::bad_signature},
      {{real, {}, {}}, Errc::bad_signature},
      {{{8, 1, 18, 2, 1, 2}, {1}, {}}, Errc::malformed},
  };
  for (const auto& [payload, error] : cases) {
    sim::World world;
    auto& env = world.env();
    const Peers peers(env);
    auto [a, b] = sim::make_pipe(env, {});
    auto [secured, forged] =
        world.run(handshake(env, std::move(a), Role::initiator, peers.a, std::nullopt),
                  forge(env, *b, payload));
    EXPECT_EQ(secured.error(), error);
  }
}

Task<> send(Stream& stream, Bytes bytes) {
  co_return co_await stream.write_all(bytes);
}

TEST(NoiseHandshake, RefusesGarbage) {
  const std::vector<std::pair<Bytes, Errc>> cases = {
      {{0, 3, 1, 2, 3}, Errc::malformed},
      {{0, 0}, Errc::malformed},
      {{0xff, 0xff}, Errc::too_large},
  };
  for (const auto& [bytes, error] : cases) {
    sim::World world;
    auto& env = world.env();
    const Peers peers(env);
    auto [a, b] = sim::make_pipe(env, {});
    auto [secured, sent] = world.run(
        handshake(env, std::move(b), Role::responder, peers.b, std::nullopt), send(*a, bytes));
    EXPECT_EQ(secured.error(), error);
  }
}

TEST(NoiseHandshake, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    const Peers peers(world.env());
    const auto secure =
        shake(world, peers, {.one_way_delay = 1ms, .fail_after = fail_after}, peers.b_id);
    if (secure.a && secure.b) break;
    EXPECT_TRUE(secure.a || secure.a.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(secure.b || secure.b.error() == Errc::closed) << fail_after;
    ASSERT_LT(fail_after, 40);
  }
}

Task<> write_bytes(Channel& channel, std::vector<Bytes> pieces) {
  std::vector<BytesView> parts(pieces.begin(), pieces.end());
  co_return co_await channel.write(parts);
}

Task<Bytes> read_bytes(Channel& channel, std::size_t count) {
  Bytes all;
  while (all.size() < count) {
    PYRSIA_CO_TRY(const auto bytes, co_await channel.read());
    if (bytes.empty()) co_return Errc::malformed;
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  co_return all;
}

TEST(NoiseChannel, CarriesBytesOfAnySizeInAnyPieces) {
  for (const std::size_t max_read : {std::size_t(997), SIZE_MAX}) {
    sim::World world;
    const Peers peers(world.env());
    const auto secure = shake(world, peers, {.max_read_bytes = max_read}, peers.b_id);
    std::vector<Bytes> pieces = {Bytes(1, 1), Bytes(), Bytes(300'000, 2), Bytes(65519, 3),
                                 Bytes(12, 4)};
    Bytes all;
    for (const auto& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    auto [written, read] = world.run(write_bytes(*secure.a->channel, pieces),
                                     read_bytes(*secure.b->channel, all.size()));
    EXPECT_TRUE(written);
    EXPECT_TRUE(*read == all);
    auto [back, echoed] = world.run(write_bytes(*secure.b->channel, {Bytes(5, 5)}),
                                    read_bytes(*secure.a->channel, 5));
    EXPECT_EQ(*echoed, Bytes(5, 5));
  }
}

struct RawChannel {
  explicit RawChannel(Env& env) {
    const std::array<std::uint8_t, 32> zero{};
    std::unique_ptr<Stream> end;
    std::tie(raw, end) = sim::make_pipe(env, {});
    channel = std::make_unique<NoiseChannel>(std::move(end), zero, zero);
  }

  std::unique_ptr<Stream> raw;
  std::unique_ptr<Channel> channel;
};

Bytes frame(std::uint64_t counter, BytesView plain) {
  const std::array<std::uint8_t, 32> zero{};
  const auto size = plain.size() + crypto::kTagBytes;
  Bytes bytes(2 + size);
  bytes[0] = std::uint8_t(size >> 8);
  bytes[1] = std::uint8_t(size);
  crypto::AeadKey(zero).seal(counter, {}, plain, std::span(bytes).subspan(2));
  return bytes;
}

TEST(NoiseChannel, FillsItsFrames) {
  sim::World world;
  RawChannel side(world.env());
  auto [written] = world.run(write_bytes(*side.channel, {Bytes(65519 + 1, 7)}));
  EXPECT_TRUE(written);
  Bytes got(2 + 65535 + 2 + 17);
  auto [read] = world.run(read_exactly(*side.raw, got));
  EXPECT_TRUE(read);
  EXPECT_EQ(Bytes(got.begin(), got.begin() + 2), (Bytes{0xff, 0xff}));
  EXPECT_EQ(Bytes(got.begin() + 65537, got.begin() + 65539), (Bytes{0, 17}));
}

TEST(NoiseChannel, SkipsEmptyFrames) {
  sim::World world;
  RawChannel side(world.env());
  auto bytes = frame(0, {});
  const auto second = frame(1, as_bytes("x"));
  bytes.insert(bytes.end(), second.begin(), second.end());
  auto [sent, read] = world.run(send(*side.raw, bytes), read_bytes(*side.channel, 1));
  EXPECT_EQ(*read, Bytes{'x'});
}

TEST(NoiseChannel, RefusesReplayedChangedAndShortFrames) {
  auto changed = frame(0, as_bytes("x"));
  changed.back() ^= 1;
  for (const auto& bytes : {frame(1, as_bytes("x")), changed, Bytes{0, 15}, Bytes{0, 0}}) {
    sim::World world;
    RawChannel side(world.env());
    auto all = bytes;
    all.resize(100);
    auto [sent, read] = world.run(send(*side.raw, all), read_bytes(*side.channel, 1));
    EXPECT_EQ(read.error(), Errc::bad_signature);
  }
}

Task<> close(Stream& stream) {
  co_return co_await stream.close_write();
}

TEST(NoiseChannel, EndsWithItsStream) {
  sim::World world;
  RawChannel side(world.env());
  auto [closed, read] = world.run(close(*side.raw), read_bytes(*side.channel, 1));
  EXPECT_EQ(read.error(), Errc::closed);
}

TEST(NoiseChannel, ContinuesAReadThatWasCancelled) {
  sim::World world;
  RawChannel side(world.env());
  const auto bytes = frame(0, Bytes(20'000, 1));
  for (const auto& [begin, end] : {std::pair(0, 1), std::pair(1, 300), std::pair(300, 15'000)}) {
    const Bytes part(bytes.begin() + begin, bytes.begin() + end);
    auto [sent, late] = world.run(send(*side.raw, part),
                                  with_timeout(world.env(), 1s, read_bytes(*side.channel, 20'000)));
    EXPECT_EQ(late.error(), Errc::timed_out);
  }
  auto [sent, read] = world.run(send(*side.raw, Bytes(bytes.begin() + 15'000, bytes.end())),
                                read_bytes(*side.channel, 20'000));
  EXPECT_EQ(*read, Bytes(20'000, 1));
}

}  // namespace
}  // namespace pyrsia::secure::noise

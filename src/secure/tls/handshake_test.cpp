#include "secure/tls/handshake.hpp"

#include "runtime/timeout.hpp"
#include "secure/tls/channel.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::secure::tls {
namespace {

using namespace std::chrono_literals;

KeyPair key(std::uint8_t seed) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(seed);
  return KeyPair::from_seed(bytes);
}

struct Peers {
  explicit Peers(std::vector<std::string> a_muxers = {"/yamux/1.0.0"},
                 std::vector<std::string> b_muxers = {"/yamux/1.0.0"})
      : a(key(1), std::move(a_muxers)), b(key(2), std::move(b_muxers)) {}

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

TEST(TlsHandshake, ProvesBothPeersInOneAndAHalfRoundTrips) {
  sim::World world;
  const Peers peers;
  const auto secure = shake(world, peers, {.one_way_delay = 50ms, .max_read_bytes = 1}, peers.b_id);
  ASSERT_TRUE(secure.a) << secure.a.error();
  ASSERT_TRUE(secure.b) << secure.b.error();
  EXPECT_EQ(secure.a->peer, peers.b_id);
  EXPECT_EQ(secure.b->peer, peers.a_id);
  EXPECT_EQ(secure.a->peer_key, key(2).public_key());
  EXPECT_EQ(world.now(), TimePoint(150ms));  // The initiator was done at 100 ms.
}

TEST(TlsHandshake, TakesTheFirstMuxerOfTheInitiatorThatTheResponderHas) {
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
    const Peers peers(c.initiator, c.responder);
    const auto secure = shake(world, peers, {}, std::nullopt);
    EXPECT_EQ(secure.a->muxer, c.agreed);
    EXPECT_EQ(secure.b->muxer, c.agreed);
  }
}

TEST(TlsHandshake, AWrongPeerIsToldWhyItIsLeft) {
  sim::World world;
  const Peers peers;
  const auto secure = shake(world, peers, {.one_way_delay = 50ms}, peers.a_id);
  EXPECT_EQ(secure.a.error(), Errc::wrong_peer);
  EXPECT_EQ(secure.b.error(), Errc::refused);
}

Task<> send(Stream& stream, Bytes bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

TEST(TlsHandshake, RefusesGarbageOfEitherRole) {
  const std::vector<std::pair<Bytes, Errc>> cases = {
      {{}, Errc::closed},
      {{0x13, 3, 1, 0, 1, 1}, Errc::malformed},
      {{0x16, 3, 1, 0xff, 0xff}, Errc::malformed},
      {{0x16, 3, 1, 0, 4, 1, 0, 0}, Errc::closed},
      {{0x15, 3, 3, 0, 2, 2, 40}, Errc::not_supported},
      {{0x15, 3, 3, 0, 2, 2, 42}, Errc::refused},
      {{0x15, 3, 3, 0, 2, 1, 0}, Errc::closed},
  };
  for (const auto role : {Role::initiator, Role::responder}) {
    for (const auto& [bytes, error] : cases) {
      sim::World world;
      auto& env = world.env();
      const Peers peers;
      auto [a, b] = sim::make_pipe(env, {});
      auto [secured, sent] =
          world.run(handshake(env, std::move(b), role, peers.b, std::nullopt), send(*a, bytes));
      // A responder takes no alert before it has seen a ClientHello.
      const bool is_early_alert =
          role == Role::responder && !bytes.empty() && bytes.front() == 0x15;
      EXPECT_EQ(secured.error(), is_early_alert ? Errc::protocol_violation : error);
    }
  }
}

TEST(TlsHandshake, OneInTooManyPiecesIsGivenUp) {
  sim::World world;
  auto& env = world.env();
  const Peers peers;
  auto [a, b] = sim::make_pipe(env, {});
  Bytes bytes{0x16, 3, 1, 0, 4, 1, 0, 0x3e, 0x80};  // A ClientHello of 16000 bytes.
  const Bytes piece{0x16, 3, 1, 0, 1, 0};           // One of them.
  for (int i = 0; i < 100; ++i) bytes.insert(bytes.end(), piece.begin(), piece.end());
  auto [sent, secured] = world.run(
      send(*a, bytes), handshake(env, std::move(b), Role::responder, peers.b, std::nullopt));
  EXPECT_EQ(secured.error(), Errc::too_large);
}

TEST(TlsHandshake, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    sim::World world;
    const Peers peers;
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

TEST(TlsChannel, CarriesBytesOfAnySizeInAnyPieces) {
  for (const std::size_t max_read : {std::size_t(997), SIZE_MAX}) {
    sim::World world;
    const Peers peers;
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

/// A channel whose far end is bare bytes: what the other session sealed can be changed.
struct RawChannel {
  explicit RawChannel(Env& env) {
    auto near = std::make_unique<crypto::TlsSession>(peers.a.context(), Role::initiator,
                                                     env.wall_now(), std::nullopt);
    far = std::make_unique<crypto::TlsSession>(peers.b.context(), Role::responder, env.wall_now(),
                                               std::nullopt);
    Bytes hello;
    Bytes flight;
    Bytes finished;
    EXPECT_TRUE(near->handshake({}, hello));
    EXPECT_TRUE(far->handshake(hello, flight));
    EXPECT_TRUE(near->handshake(flight, finished));
    EXPECT_TRUE(far->handshake(finished, flight).value());
    std::unique_ptr<Stream> end;
    std::tie(raw, end) = sim::make_pipe(env, {});
    channel = std::make_unique<TlsChannel>(std::move(end), std::move(near));
  }

  Bytes record(BytesView plain) {
    Bytes out(plain.size() + crypto::TlsSession::kSealRoomBytes);
    out.resize(far->seal(plain, out).value());
    return out;
  }

  Peers peers;
  std::unique_ptr<crypto::TlsSession> far;
  std::unique_ptr<Stream> raw;
  std::unique_ptr<Channel> channel;
};

TEST(TlsChannel, FillsItsRecords) {
  sim::World world;
  RawChannel side(world.env());
  auto [written] = world.run(write_bytes(*side.channel, {Bytes(16383, 7), Bytes(2, 8)}));
  EXPECT_TRUE(written);
  Bytes got(crypto::kTlsHeaderBytes);
  auto [read] = world.run(read_exactly(*side.raw, got));
  EXPECT_TRUE(read);
  EXPECT_EQ(crypto::tls_record_size(got).value(),
            crypto::kTlsRecordBytes + crypto::kTlsOverheadBytes);
}

TEST(TlsChannel, WhatCameBeforeABadRecordIsStillHandedOut) {
  sim::World world;
  RawChannel side(world.env());
  auto bytes = side.record(as_bytes("good"));
  auto bad = side.record(as_bytes("bad"));
  bad.back() ^= 1;
  bytes.insert(bytes.end(), bad.begin(), bad.end());
  auto [sent, read] = world.run(send(*side.raw, bytes), read_bytes(*side.channel, 4));
  EXPECT_EQ(as_text(*read), "good");
  auto [failed] = world.run(read_bytes(*side.channel, 1));
  EXPECT_EQ(failed.error(), Errc::bad_signature);
  auto [again] = world.run(read_bytes(*side.channel, 1));
  EXPECT_EQ(again.error(), Errc::bad_signature);
}

TEST(TlsChannel, RefusesReplayedAndOversizedRecordsAndGarbage) {
  for (int kind = 0; kind < 3; ++kind) {
    sim::World world;
    RawChannel side(world.env());
    auto bytes = side.record(as_bytes("x"));
    if (kind == 0) bytes.insert(bytes.end(), bytes.begin(), bytes.end());
    if (kind == 1) bytes = {0x17, 3, 3, 0x41, 1};
    if (kind == 2) bytes = Bytes(100, 'x');
    auto [sent, read] = world.run(send(*side.raw, bytes), read_bytes(*side.channel, 2));
    EXPECT_EQ(read.error(), kind == 0 ? Errc::bad_signature : Errc::malformed);
  }
}

TEST(TlsChannel, EndsWithItsStream) {
  sim::World world;
  RawChannel side(world.env());
  auto [closed, read] = world.run(send(*side.raw, {}), read_bytes(*side.channel, 1));
  EXPECT_EQ(read.error(), Errc::closed);
}

Task<> write_only(Stream& stream, Bytes bytes) {
  co_return co_await stream.write_all(bytes);
}

TEST(TlsChannel, ContinuesAReadThatWasCancelled) {
  sim::World world;
  RawChannel side(world.env());
  const auto bytes = side.record(Bytes(16'000, 1));
  for (const auto& [begin, end] : {std::pair(0, 1), std::pair(1, 300), std::pair(300, 15'000)}) {
    const Bytes part(bytes.begin() + begin, bytes.begin() + end);
    auto [sent, late] = world.run(write_only(*side.raw, part),
                                  with_timeout(world.env(), 1s, read_bytes(*side.channel, 16'000)));
    EXPECT_EQ(late.error(), Errc::timed_out);
  }
  auto [sent, read] = world.run(write_only(*side.raw, Bytes(bytes.begin() + 15'000, bytes.end())),
                                read_bytes(*side.channel, 16'000));
  EXPECT_EQ(*read, Bytes(16'000, 1));
}

}  // namespace
}  // namespace pyrsia::secure::tls

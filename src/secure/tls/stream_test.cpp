#include "secure/tls/stream.hpp"

#include "crypto/test_web_authority.hpp"
#include "crypto/web_tls.hpp"
#include "runtime/timeout.hpp"
#include "secure/tls/handshake.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

namespace pyrsia::secure::tls {
namespace {

using namespace std::chrono_literals;

Task<std::unique_ptr<Stream>> secured(std::unique_ptr<Stream> stream,
                                      std::unique_ptr<crypto::TlsSession> session) {
  PYRSIA_CO_TRY(co_await shake_hands(*stream, *session));
  std::unique_ptr<Stream> out = std::make_unique<TlsStream>(std::move(stream), std::move(session));
  co_return out;
}

struct Ends {
  Result<std::unique_ptr<Stream>> a;
  Result<std::unique_ptr<Stream>> b;
};

/// What web TLS needs, made once: making keys takes time.
struct Web {
  explicit Web(WallTime now) : authority(now) {
    const auto files = authority.issue({"DNS:b.example", now});
    server = crypto::make_web_server(files.chain, files.key, nullptr).value();
    client = crypto::make_web_client({false, authority.root()}, nullptr).value();
  }

  Ends connect(sim::World& world, const sim::PipeConfig& config) const {
    auto& env = world.env();
    auto [a, b] = sim::make_pipe(env, config);
    auto session = std::make_unique<crypto::TlsSession>(*client, env.wall_now(), "b.example");
    auto own = std::make_unique<crypto::TlsSession>(*server);
    auto [from_a, from_b] =
        world.run(secured(std::move(a), std::move(session)), secured(std::move(b), std::move(own)));
    return {std::move(from_a), std::move(from_b)};
  }

  crypto::TestWebAuthority authority;
  std::shared_ptr<const crypto::TlsContext> server;
  std::shared_ptr<const crypto::TlsContext> client;
};

Task<> write_parts(Stream& stream, std::vector<Bytes> pieces) {
  std::vector<BytesView> parts(pieces.begin(), pieces.end());
  PYRSIA_CO_TRY(co_await stream.write_all_parts(parts));
  co_return co_await stream.close_write();
}

/// All until the end, by reads of that size.
Task<Bytes> read_all(Stream& stream, std::size_t at_once) {
  Bytes all;
  Bytes some(at_once);
  for (;;) {
    PYRSIA_CO_TRY(co_await stream.wait_readable());
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(some));
    if (count == 0) co_return all;
    all.insert(all.end(), some.begin(), some.begin() + std::ptrdiff_t(count));
  }
}

TEST(TlsStream, CarriesBytesBothWaysAndEachEndApart) {
  sim::World world;
  const Web web(world.env().wall_now());
  for (const std::size_t max_read : {std::size_t(997), SIZE_MAX}) {
    const auto ends = web.connect(world, {.max_read_bytes = max_read});
    ASSERT_TRUE(ends.a && ends.b);
    const std::vector<Bytes> pieces{Bytes(1, 1), Bytes(), Bytes(300'000, 2), Bytes(3, 3)};
    auto [up, got] = world.run(write_parts(**ends.a, pieces), read_all(**ends.b, 5000));
    EXPECT_TRUE(up);
    EXPECT_EQ(got->size(), 300'004U);
    EXPECT_EQ(got->back(), 3);
    auto [late] = world.run((*ends.a)->write_all(pieces[0]));
    EXPECT_EQ(late.error(), Errc::closed);
    auto [down, back] = world.run(write_parts(**ends.b, pieces), read_all(**ends.a, 1));
    EXPECT_TRUE(down);
    EXPECT_EQ(back->size(), 300'004U);
  }
}

TEST(TlsStream, AnEndWithoutAWordIsAnEnd) {
  sim::World world;
  const Web web(world.env().wall_now());
  auto ends = web.connect(world, {});
  ASSERT_TRUE(ends.a && ends.b);
  ends.b->reset();
  auto [got] = world.run(read_all(**ends.a, 10));
  EXPECT_TRUE(got ? got->empty() : got.error() == Errc::reset);
}

TEST(TlsStream, EndsCleanlyWhereverTheStreamBreaks) {
  sim::World world;
  const Web web(world.env().wall_now());
  for (int fail_after = 0;; ++fail_after) {
    ASSERT_LT(fail_after, 60);
    const auto ends = web.connect(world, {.one_way_delay = 1ms, .fail_after = fail_after});
    EXPECT_TRUE(ends.a || ends.a.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(ends.b || ends.b.error() == Errc::closed) << fail_after;
    if (!ends.a || !ends.b) continue;
    const std::vector<Bytes> pieces{Bytes(50'000, 2)};
    auto [up, got] = world.run(write_parts(**ends.a, pieces), read_all(**ends.b, 5000));
    if (up && got && got->size() == 50'000) break;
  }
}

}  // namespace
}  // namespace pyrsia::secure::tls

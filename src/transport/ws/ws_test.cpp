#include "base/hex.hpp"
#include "runtime/task_group.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "transport/ws/stream.hpp"
#include "transport/ws/target.hpp"
#include "transport/ws/upgrade.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::ws {
namespace {

using namespace std::chrono_literals;

Bytes unhex(std::string_view hex) {
  return from_hex(hex).value();
}

// The example of RFC 6455, 1.3.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

std::string request(const std::string& changed, const std::string& with) {
  auto text = upgrade_request("a.example:80", "/p", kKey);
  if (!changed.empty()) text.replace(text.find(changed), changed.size(), with);
  return text;
}

TEST(WsUpgrade, AnswersTheExampleOfTheSpecification) {
  EXPECT_EQ(read_request(request("", "")).value(), kKey);
  const auto response = upgrade_response(kKey);
  EXPECT_NE(response.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            std::string::npos);
  EXPECT_TRUE(check_response(response, kKey));
  EXPECT_EQ(head_size(as_bytes(response + "x")), response.size());
  EXPECT_EQ(head_size(as_bytes(response.substr(0, response.size() - 1))), 0U);
}

TEST(WsUpgrade, TakesWhatBrowsersSend) {
  EXPECT_TRUE(read_request(request("Connection: Upgrade", "Connection: keep-alive, upgrade")));
  EXPECT_TRUE(read_request(request("Upgrade: websocket", "uPGRADE:WebSocket \r\nOrigin: null")));
  EXPECT_TRUE(read_request(request("/p", "/?a=b")));
}

TEST(WsUpgrade, RefusesWhatIsNoUpgrade) {
  const std::vector<std::tuple<std::string, std::string, Errc>> cases = {
      {"GET", "POST", Errc::protocol_violation},
      {"/p", "p", Errc::protocol_violation},
      {"/p", "/p q", Errc::protocol_violation},
      {" HTTP/1.1", " HTTP/1.0", Errc::malformed},
      {"Host: a.example:80\r\n", "", Errc::protocol_violation},
      {"Host: a", "Host: b\r\nHost: a", Errc::protocol_violation},
      {"Upgrade: websocket", "Upgrade: h2c", Errc::protocol_violation},
      {"Connection: Upgrade", "Connection: close", Errc::protocol_violation},
      {"Version: 13", "Version: 8", Errc::not_supported},
      {"Key: dG", "Key: d", Errc::protocol_violation},
      {"Key: dG", "Key: d!", Errc::protocol_violation},
      {"Host: a", "Host : a", Errc::malformed},
      {"Host: a",
       "Host: \x01"
       "a",
       Errc::malformed},
      {"Host: a", "folded\r\n Host: a", Errc::malformed},
  };
  for (const auto& [changed, with, error] : cases)
    EXPECT_EQ(read_request(request(changed, with)).error(), error) << changed << " > " << with;
  EXPECT_EQ(read_request("\r\n\r\n").error(), Errc::malformed);
  EXPECT_EQ(read_request("").error(), Errc::malformed);
}

TEST(WsUpgrade, RefusesAnAnswerThatWasNotAskedFor) {
  const auto changed = [](const std::string& from, const std::string& to) {
    auto text = upgrade_response(kKey);
    text.replace(text.find(from), from.size(), to);
    return check_response(text, kKey).error();
  };
  EXPECT_EQ(changed("101 Switching Protocols", "404 Not Found"), Errc::refused);
  EXPECT_EQ(changed("101 Switching Protocols", "301 Moved"), Errc::refused);
  EXPECT_EQ(changed("s3pP", "s3pQ"), Errc::protocol_violation);
  EXPECT_EQ(changed("Upgrade: websocket", "Upgrade: h2c"), Errc::protocol_violation);
  EXPECT_EQ(changed("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Protocol: x"),
            Errc::protocol_violation);
  EXPECT_EQ(changed("HTTP/1.1", "HTTP/2"), Errc::malformed);
}

TEST(WsFrame, HeadersAreReadAsTheyAreWritten) {
  const Mask mask{1, 2, 3, 4};
  for (const auto length : {0ULL, 1ULL, 125ULL, 126ULL, 65535ULL, 65536ULL, 1ULL << 40}) {
    for (const bool is_masked : {false, true}) {
      FrameHeader header;
      header.length = length;
      if (is_masked) header.mask = mask;
      const auto bytes = encode_header(header);
      EXPECT_EQ(header_size(bytes), bytes.size());
      EXPECT_LE(bytes.size(), kMaxHeaderBytes);
      const auto sender = is_masked ? Role::initiator : Role::responder;
      EXPECT_EQ(decode_header(bytes, sender).value(), header);
    }
  }
}

TEST(WsFrame, WhatTheSpecificationForbidsIsRefused) {
  const auto error = [](const char* hex, Role sender) {
    return decode_header(unhex(hex), sender).error();
  };
  EXPECT_EQ(error("8105", Role::responder), Errc::not_supported);  // Text.
  for (const auto* hex : {"8205", "c205", "8305", "8b05", "0905", "897e007e", "827e007d",
                          "827f000000000000ffff", "827f8000000000000000"}) {
    const auto sender = std::string_view(hex) == "8205" ? Role::initiator : Role::responder;
    EXPECT_EQ(error(hex, sender), Errc::protocol_violation) << hex;
  }
  EXPECT_EQ(error("828501020304", Role::responder), Errc::protocol_violation);
}

TEST(WsFrame, AMaskGoesOnWhereItStopped) {
  const Mask mask{0x37, 0xfa, 0x21, 0x3d};
  auto bytes = unhex("7f9f4d5158");  // "Hello", RFC 6455, 5.7.
  apply_mask(std::span(bytes).first(3), mask, 0);
  apply_mask(std::span(bytes).subspan(3), mask, 3);
  EXPECT_EQ(as_text(bytes), "Hello");
}

TEST(WsTarget, NamesHostAndPath) {
  const auto target = [](const char* text) {
    const auto found = target_of(*Multiaddr::parse(text), "");
    return found.host + " " + found.path;
  };
  EXPECT_EQ(target("/ip4/1.2.3.4/tcp/80/ws"), "1.2.3.4 /");
  EXPECT_EQ(target("/ip4/1.2.3.4/tcp/4001/ws"), "1.2.3.4:4001 /");
  EXPECT_EQ(target("/ip6/2600::1/tcp/80/ws"), "[2600::1] /");
  EXPECT_EQ(target("/ip4/1.2.3.4/tcp/443/tls/sni/a.example/ws"), "a.example /");
  EXPECT_EQ(target("/ip4/1.2.3.4/tcp/80/ws/http-path/a%2Fb%20c%0D%0A"), "1.2.3.4 /a/b%20c%0D%0A");
}

TEST(WsTarget, HttpIsToldTheDialedNameAndTlsThatOfTheAddress) {
  const auto names = [](const char* text, const char* dialed) {
    const auto found = target_of(*Multiaddr::parse(text), dialed);
    return found.host + " " + found.server_name;
  };
  const auto* const bare = "/ip4/1.2.3.4/tcp/443/tls/ws";
  const auto* const named = "/ip4/1.2.3.4/tcp/444/tls/sni/a.example/ws";
  EXPECT_EQ(names(bare, ""), "1.2.3.4 1.2.3.4");
  EXPECT_EQ(names(bare, "b.example"), "b.example b.example");
  EXPECT_EQ(names(bare, "b.example."), "b.example. b.example");
  EXPECT_EQ(names(named, ""), "a.example:444 a.example");
  EXPECT_EQ(names(named, "b.example"), "b.example:444 a.example");
  EXPECT_EQ(names("/ip6/2600::1/tcp/443/wss", ""), "[2600::1] 2600::1");
  EXPECT_EQ(names("/ip4/1.2.3.4/tcp/80/ws", "b.example"), "b.example b.example");
}

std::unique_ptr<wire::BufferedStream> buffered(std::unique_ptr<Stream> stream) {
  return std::make_unique<wire::BufferedStream>(std::move(stream));
}

struct Sockets {
  Result<std::unique_ptr<Stream>> a;
  Result<std::unique_ptr<Stream>> b;
};

Sockets upgrade(sim::World& world, const sim::PipeConfig& config) {
  auto& env = world.env();
  auto [a, b] = sim::make_pipe(env, config);
  auto [from_a, from_b] = world.run(connect(env, buffered(std::move(a)), "a.example", "/"),
                                    accept(env, buffered(std::move(b))));
  return {std::move(from_a), std::move(from_b)};
}

Task<> write(Stream& stream, std::vector<Bytes> pieces) {
  std::vector<BytesView> parts(pieces.begin(), pieces.end());
  co_return co_await stream.write_all_parts(parts);
}

Task<Bytes> read(Stream& stream, std::size_t count) {
  Bytes bytes(count);
  PYRSIA_CO_TRY(co_await read_exactly(stream, bytes));
  co_return bytes;
}

Task<std::size_t> read_some(Stream& stream) {
  Bytes bytes(100);
  co_return co_await stream.read_some(bytes);
}

TEST(WebSocket, CarriesBytesOfAnySizeBothWays) {
  for (const std::size_t max_read : {std::size_t(1), std::size_t(997), SIZE_MAX}) {
    sim::World world;
    auto sockets = upgrade(world, {.one_way_delay = 50ms, .max_read_bytes = max_read});
    ASSERT_TRUE(sockets.a && sockets.b);
    EXPECT_EQ(world.now(), TimePoint(100ms));
    const std::vector<Bytes> pieces{Bytes(1, 1), Bytes(), Bytes(150'000, 2), Bytes(3, 3)};
    Bytes all;
    for (const auto& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    auto [up, got] = world.run(write(**sockets.a, pieces), read(**sockets.b, all.size()));
    EXPECT_TRUE(up);
    EXPECT_TRUE(*got == all);
    auto [down, back] = world.run(write(**sockets.b, pieces), read(**sockets.a, all.size()));
    EXPECT_TRUE(down);
    EXPECT_TRUE(*back == all);
  }
}

struct Raw {
  explicit Raw(Env& env, Role role) {
    std::unique_ptr<Stream> end;
    std::tie(raw, end) = sim::make_pipe(env, {});
    socket = std::make_unique<WebSocket>(env, std::move(end), role);
  }
  std::unique_ptr<Stream> raw;
  std::unique_ptr<WebSocket> socket;
};

TEST(WebSocket, PiecesAndPingsInBetweenMakeNoDifference) {
  sim::World world;
  Raw side(world.env(), Role::initiator);
  const std::vector<Bytes> frames{unhex("02026869"), unhex("8902aabb"), unhex("0000"),
                                  unhex("8a00"),     unhex("800121"),   unhex("820100")};
  auto [sent, got] = world.run(write(*side.raw, frames), read(*side.socket, 4));
  EXPECT_EQ(as_text(*got), std::string_view("hi!\0", 4));
  auto [pong] = world.run(read(*side.raw, 8));
  EXPECT_EQ(Bytes(pong->begin(), pong->begin() + 2), unhex("8a82"));
  auto payload = std::span(*pong).subspan(6);
  apply_mask(payload, {(*pong)[2], (*pong)[3], (*pong)[4], (*pong)[5]}, 0);
  EXPECT_EQ(to_hex(payload), "aabb");
}

TEST(WebSocket, ACloseIsAnsweredAndIsTheEnd) {
  sim::World world;
  Raw side(world.env(), Role::responder);
  const std::vector<Bytes> frames{unhex("88820000000003e8")};
  auto [sent, count] = world.run(write(*side.raw, frames), read_some(*side.socket));
  EXPECT_EQ(count.value(), 0U);
  auto [answer] = world.run(read(*side.raw, 4));
  EXPECT_EQ(to_hex(*answer), "880203e8");
  auto [late] = world.run(write(*side.socket, {Bytes(1, 1)}));
  EXPECT_EQ(late.error(), Errc::closed);
}

TEST(WebSocket, HostileFramesEndIt) {
  const std::vector<std::pair<const char*, Errc>> cases = {
      {"8201000000000041", Errc::protocol_violation},  // Not masked.
      {"81810000000041", Errc::not_supported},         // Text.
      {"80810000000041", Errc::protocol_violation},    // Goes on with nothing.
      {"02810000000041828100000000", Errc::protocol_violation},
  };
  for (const auto& [hex, error] : cases) {
    sim::World world;
    Raw side(world.env(), Role::responder);
    const std::vector<Bytes> bytes{unhex(hex)};
    auto [sent, got] = world.run(write(*side.raw, bytes), read(*side.socket, 3));
    EXPECT_EQ(got.error(), error) << hex;
  }
}

Task<> send_and_end(Stream& stream, std::string text) {
  PYRSIA_CO_TRY(co_await stream.write_all(as_bytes(text)));
  co_return co_await stream.close_write();
}

TEST(WsAccept, ARequestThatIsTooLongOrBadIsAnsweredAndLeft) {
  const std::vector<std::tuple<std::string, Errc, std::string>> cases = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Errc::protocol_violation, "HTTP/1.1 400"},
      {request("Version: 13", "Version: 8"), Errc::not_supported, "HTTP/1.1 426"},
      {"GET /" + std::string(20'000, 'x'), Errc::too_large, "HTTP/1.1 431"},
  };
  for (const auto& [text, error, answer] : cases) {
    sim::World world;
    auto& env = world.env();
    auto [a, b] = sim::make_pipe(env, {});
    auto [sent, accepted, got] = world.run(
        send_and_end(*a, text), accept(env, buffered(std::move(b))), read(*a, answer.size()));
    EXPECT_EQ(accepted.error(), error);
    ASSERT_TRUE(got);
    EXPECT_EQ(as_text(*got), answer);
  }
}

TEST(WsUpgradeSweep, EndsCleanlyWhereverTheStreamBreaks) {
  for (int fail_after = 0;; ++fail_after) {
    ASSERT_LT(fail_after, 40);
    sim::World world;
    const auto sockets = upgrade(world, {.one_way_delay = 1ms, .fail_after = fail_after});
    if (sockets.a && sockets.b) break;
    EXPECT_TRUE(sockets.a || sockets.a.error() == Errc::closed) << fail_after;
    EXPECT_TRUE(sockets.b || sockets.b.error() == Errc::closed) << fail_after;
  }
}

}  // namespace
}  // namespace pyrsia::transport::ws

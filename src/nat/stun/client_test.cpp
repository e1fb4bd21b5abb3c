#include "nat/stun/client.hpp"

#include "nat/stun/builder.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const Endpoint kServer = at("5.6.7.8", 3478);
const Endpoint kElsewhere = at("5.6.7.8", 3479);
const Endpoint kSeen = at("198.51.100.7", 40000);

/// What a server of the test says to a request; nothing: it is silent.
using Say = std::function<std::optional<Bytes>(const Message& request, int number)>;

Bytes success(const Header& request, const Endpoint& mapped) {
  auto header = request;
  header.message_class = MessageClass::success;
  Bytes out(256);
  Builder builder(out, header);
  builder.add_xor_address(AttributeType::xor_mapped_address, mapped);
  out.resize(builder.bytes().size());
  return out;
}

Bytes error(const Header& request, int code, std::optional<Endpoint> alternate = {}) {
  auto header = request;
  header.message_class = MessageClass::error;
  Bytes out(256);
  Builder builder(out, header);
  builder.add_error_code(code, "Because\n");
  if (alternate) builder.add_address(AttributeType::alternate_server, *alternate);
  out.resize(builder.bytes().size());
  return out;
}

/// A server that says what the test wants, from `from` if that is another endpoint.
Task<> serve(Env& env, Endpoint where, std::optional<Endpoint> from, Say say) {
  PYRSIA_CO_TRY(auto socket, env.udp_bind(where));
  std::unique_ptr<UdpSocket> other;
  if (from) {
    PYRSIA_CO_TRY(other, env.udp_bind(*from));
  }
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (int number = 0;; ++number) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket->receive(buffer));
    const auto message = Message::parse(BytesView(buffer).first(datagram.size));
    if (!message) continue;
    const auto said = say(*message, number);
    if (said) (void)(other ? *other : *socket).send(datagram.from, *said);
  }
}

Task<Response> ask_and_stop(Env& env, Query query, ClientMetrics& metrics, bool follows) {
  const Endpoint any{IpAddress::v4_any(), 0};
  PYRSIA_CO_TRY(auto client, Client::bind(env, any));
  auto asking = follows ? client->ask_and_follow(query) : client->ask(query);
  auto response = co_await std::move(asking);
  metrics = client->metrics();
  (void)co_await client->stop();
  co_return response;
}

struct Asked : sim::TwoHosts {
  ClientMetrics metrics;
  TaskGroup servers{b};

  ~Asked() {
    servers.cancel();
    (void)world.run(servers.join());
  }
  Result<Response> ask(Say say, std::optional<Endpoint> from = {}, bool follows = false) {
    servers.spawn(serve(b, kServer, from, std::move(say)));
    Query query;
    query.server = kServer;
    // A round trip takes as long as the quick plan waits: where requests are counted, be patient.
    if (!follows) query.plan = RetransmitPlan::quick();
    return std::get<0>(world.run(ask_and_stop(a, query, metrics, follows)));
  }
};

TEST(StunClient, TakesAnAnswer) {
  Asked asked;
  const auto response =
      asked.ask([](const Message& request, int) { return success(request.header(), kSeen); });
  EXPECT_EQ(response->mapped, kSeen);
  EXPECT_FALSE(response->error);
}

TEST(StunClient, AnAnswerWithAnotherIdIsNone) {
  Asked asked;
  const auto response = asked.ask([](const Message& request, int) {
    auto header = request.header();
    header.transaction[5] ^= 1;
    return success(header, kSeen);
  });
  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(asked.metrics.unmatched.value(), 4U);
}

TEST(StunClient, AnAnswerFromAnotherAddressIsNone) {
  Asked asked;
  const auto response = asked.ask(
      [](const Message& request, int) { return success(request.header(), kSeen); }, kElsewhere);
  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(asked.metrics.wrong_source.value(), 4U);
}

TEST(StunClient, BrokenAnswersAreNoneAndTheRightOneAfterThemCounts) {
  Asked asked;
  const auto response = asked.ask([](const Message& request, int number) -> std::optional<Bytes> {
    auto good = success(request.header(), kSeen);
    if (number == 0) good.resize(good.size() - 4);
    if (number == 1) good.resize(kHeaderBytes);  // Says nothing, and has no length any more.
    if (number == 2) good = Bytes(kMaxMessageBytes + 100);
    return good;
  });
  EXPECT_EQ(response->mapped, kSeen);
  EXPECT_EQ(response->transmissions, 4);
  EXPECT_EQ(asked.metrics.malformed.value(), 3U);
}

TEST(StunClient, AnAnswerThatDemandsWhatWeDoNotKnowIsNone) {
  for (const auto type : {0x7ffe, 0x8ffe}) {
    for (const bool is_error : {false, true}) {
      Asked asked;
      const auto response = asked.ask([&](const Message& request, int) {
        auto header = request.header();
        header.message_class = is_error ? MessageClass::error : MessageClass::success;
        Bytes out(256);
        Builder builder(out, header);
        if (is_error) builder.add_error_code(400, "Bad Request");
        if (!is_error) builder.add_xor_address(AttributeType::xor_mapped_address, kSeen);
        builder.add_u32(static_cast<AttributeType>(type), 1);
        out.resize(builder.bytes().size());
        return out;
      });
      const bool is_optional = type >= 0x8000;
      EXPECT_EQ(response.has_value(), is_optional);
      EXPECT_EQ(asked.metrics.malformed.value(), is_optional ? 0U : 4U);
    }
  }
}

TEST(StunClient, AWrongFingerprintIsNoAnswer) {
  Asked asked;
  const auto response = asked.ask([](const Message& request, int) {
    auto header = request.header();
    header.message_class = MessageClass::success;
    Bytes out(256);
    Builder builder(out, header);
    builder.add_xor_address(AttributeType::xor_mapped_address, kSeen);
    builder.add_fingerprint();
    out.resize(builder.bytes().size());
    out[kHeaderBytes + 8] ^= 1;
    return out;
  });
  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(asked.metrics.malformed.value(), 4U);
}

TEST(StunClient, ItsOwnRequestSentBackIsNoAnswer) {
  Asked asked;
  const auto response = asked.ask([](const Message& request, int) {
    return Bytes(request.bytes().begin(), request.bytes().end());
  });
  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(asked.metrics.unmatched.value(), 4U);
}

TEST(StunClient, AnErrorIsToldInItsOwnWords) {
  Asked asked;
  const auto response =
      asked.ask([](const Message& request, int) { return error(request.header(), 438); });
  EXPECT_EQ(response->error, 438);
  EXPECT_EQ(response->reason, "Because?");
  Asked followed;
  const auto refused = followed.ask(
      [](const Message& request, int) { return error(request.header(), 438); }, {}, true);
  EXPECT_EQ(refused.error(), Errc::refused);
}

TEST(StunClient, FollowsAnAlternateServer) {
  Asked asked;
  asked.servers.spawn(serve(asked.b, kElsewhere, {}, [](const Message& request, int) {
    return success(request.header(), kSeen);
  }));
  const auto response = asked.ask(
      [](const Message& request, int) { return error(request.header(), 300, kElsewhere); }, {},
      true);
  EXPECT_EQ(response->mapped, kSeen);
  EXPECT_EQ(response->from, kElsewhere);
}

TEST(StunClient, ALoopOfAlternateServersEnds) {
  Asked asked;
  asked.servers.spawn(serve(asked.b, kElsewhere, {}, [](const Message& request, int) {
    return error(request.header(), 300, kServer);
  }));
  const auto response = asked.ask(
      [](const Message& request, int) { return error(request.header(), 300, kElsewhere); }, {},
      true);
  EXPECT_EQ(response.error(), Errc::protocol_violation);
  EXPECT_EQ(asked.metrics.sent.value(), 2U);
}

TEST(StunClient, AChainOfAlternateServersEnds) {
  Asked asked;
  for (std::uint16_t i = 0; i < 10; ++i) {
    const auto next = at("5.6.7.8", static_cast<std::uint16_t>(4001 + i));
    asked.servers.spawn(
        serve(asked.b, at("5.6.7.8", static_cast<std::uint16_t>(4000 + i)), {},
              [next](const Message& request, int) { return error(request.header(), 300, next); }));
  }
  const auto response = asked.ask(
      [](const Message& request, int) { return error(request.header(), 300, at("5.6.7.8", 4000)); },
      {}, true);
  EXPECT_EQ(response.error(), Errc::protocol_violation);
  EXPECT_EQ(asked.metrics.sent.value(), std::uint64_t(Client::kMaxMoves) + 1);
}

TEST(StunClient, AnAlternateServerWithoutAnAddressIsAFault) {
  for (const auto& alternate : {std::optional<Endpoint>(), std::optional(at("0.0.0.0", 1)),
                                std::optional(at("1.1.1.1", 0)), std::optional(at("::1", 5))}) {
    Asked asked;
    const auto response = asked.ask(
        [&](const Message& request, int) { return error(request.header(), 300, alternate); }, {},
        true);
    EXPECT_EQ(response.error(), Errc::protocol_violation);
  }
}

Task<> ask_many(Env& env, std::vector<Errc>& codes) {
  const Endpoint any{IpAddress::v4_any(), 0};
  PYRSIA_CO_TRY(auto client, Client::bind(env, any));
  TaskGroup tasks(env);
  struct One {
    static Task<> ask(Client& client, std::vector<Errc>& codes) {
      Query query;
      query.server = kServer;
      query.plan = RetransmitPlan::quick();
      const auto response = co_await client.ask(query);
      codes.push_back(static_cast<Errc>(response.error().value()));
      co_return ok;
    }
  };
  for (std::size_t i = 0; i < Client::kMaxPending + 3; ++i) tasks.spawn(One::ask(*client, codes));
  (void)co_await tasks.join();
  (void)co_await client->stop();
  co_return ok;
}

TEST(StunClient, ItsPendingRequestsAreBounded) {
  Asked asked;
  std::vector<Errc> codes;
  EXPECT_TRUE(std::get<0>(asked.world.run(ask_many(asked.a, codes))));
  EXPECT_EQ(std::ranges::count(codes, Errc::limit_reached), 3);
  EXPECT_EQ(std::ranges::count(codes, Errc::timed_out), std::ptrdiff_t(Client::kMaxPending));
}

Task<> stop_early(Env& env, Result<Response>& response) {
  const Endpoint any{IpAddress::v4_any(), 0};
  PYRSIA_CO_TRY(auto client, Client::bind(env, any));
  TaskGroup tasks(env);
  struct One {
    static Task<> ask(Client& client, Result<Response>& response) {
      Query query;
      query.server = kServer;
      response = co_await client.ask(query);
      co_return ok;
    }
  };
  tasks.spawn(One::ask(*client, response));
  PYRSIA_CO_TRY(co_await env.sleep_for(10ms));
  (void)co_await client->stop();
  (void)co_await tasks.join();
  co_return ok;
}

TEST(StunClient, AStopEndsWhatIsPending) {
  Asked asked;
  Result<Response> response = Errc::not_found;
  EXPECT_TRUE(std::get<0>(asked.world.run(stop_early(asked.a, response))));
  EXPECT_EQ(response.error(), Errc::closed);
}

}  // namespace
}  // namespace pyrsia::stun

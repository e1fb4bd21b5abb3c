#include "nat/stun/ask_once.hpp"

#include "nat/stun/builder.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const Endpoint kServer = at("5.6.7.8", 3478);
const Endpoint kElsewhere = at("5.6.7.8", 3479);
const Endpoint kSeen = at("198.51.100.7", 40000);

/// What a bad server sends first, before what it is asked for.
enum class First { nothing, garbage, other_id, own_request, from_elsewhere };

Bytes success(const Header& request, const Endpoint& mapped) {
  auto header = request;
  header.message_class = MessageClass::success;
  Bytes out(256);
  Builder builder(out, header);
  builder.add_xor_address(AttributeType::xor_mapped_address, mapped);
  out.resize(builder.bytes().size());
  return out;
}

Bytes error(const Header& request, int code, std::optional<Endpoint> alternate) {
  auto header = request;
  header.message_class = MessageClass::error;
  Bytes out(256);
  Builder builder(out, header);
  builder.add_error_code(code, "Because");
  if (alternate) builder.add_address(AttributeType::alternate_server, *alternate);
  out.resize(builder.bytes().size());
  return out;
}

struct Behaviour {
  First first = First::nothing;
  int code = 0;  ///< 0: success.
  std::optional<Endpoint> alternate;
};

Task<> serve(Env& env, Endpoint where, Behaviour behaviour) {
  PYRSIA_CO_TRY(auto socket, env.udp_bind(where));
  const Endpoint any{where.ip, 0};
  PYRSIA_CO_TRY(auto other, env.udp_bind(any));
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (;;) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket->receive(buffer));
    const auto message = Message::parse(BytesView(buffer).first(datagram.size));
    if (!message) continue;
    const auto& to = datagram.from;
    auto header = message->header();
    const auto good = behaviour.code == 0 ? success(header, kSeen)
                                          : error(header, behaviour.code, behaviour.alternate);
    const auto wrong = success(header, at("9.9.9.9", 9));
    const Bytes garbage(kMaxMessageBytes + 100, 0x41);
    if (behaviour.first == First::garbage) (void)socket->send(to, garbage);
    if (behaviour.first == First::own_request) (void)socket->send(to, message->bytes());
    if (behaviour.first == First::from_elsewhere) (void)other->send(to, wrong);
    if (behaviour.first == First::other_id) {
      header.transaction[3] ^= 1;
      (void)socket->send(to, success(header, at("9.9.9.9", 9)));
    }
    (void)socket->send(to, good);
  }
}

Query patient_query() {
  Query query;
  query.server = kServer;
  return query;
}

Task<Response> ask_for(Env& env, Duration patience) {
  auto asking = ask_once(env, patient_query());
  co_return co_await with_timeout(env, patience, std::move(asking));
}

struct Asked : sim::TwoHosts {
  TaskGroup servers{b};

  ~Asked() {
    servers.cancel();
    (void)world.run(servers.join());
  }
  Result<Response> ask() { return std::get<0>(world.run(ask_once(a, patient_query()))); }
};

TEST(StunAskOnce, TakesTheAnswerAndPassesOverWhatIsNone) {
  for (const auto first : {First::nothing, First::garbage, First::other_id, First::own_request,
                           First::from_elsewhere}) {
    Asked asked;
    asked.servers.spawn(serve(asked.b, kServer, {first, 0, {}}));
    const auto response = asked.ask();
    ASSERT_TRUE(response) << static_cast<int>(first);
    EXPECT_EQ(response->mapped, kSeen);
    EXPECT_EQ(response->from, kServer);
    EXPECT_EQ(response->transmissions, 1);
    EXPECT_GE(response->round_trip, 100ms);
  }
}

TEST(StunAskOnce, GivesUpAsThePlanSays) {
  Asked asked;
  const auto silent = asked.b.udp_bind(kServer);
  const auto start = asked.a.now();
  EXPECT_EQ(asked.ask().error(), Errc::timed_out);
  EXPECT_EQ(asked.a.now() - start, RetransmitPlan().total());
}

TEST(StunAskOnce, FollowsAnAlternateServerAndNoLoop) {
  Asked asked;
  asked.servers.spawn(serve(asked.b, kServer, {First::nothing, 300, kElsewhere}));
  asked.servers.spawn(serve(asked.b, kElsewhere, {}));
  EXPECT_EQ(asked.ask()->from, kElsewhere);

  Asked circle;
  circle.servers.spawn(serve(circle.b, kServer, {First::nothing, 300, kElsewhere}));
  circle.servers.spawn(serve(circle.b, kElsewhere, {First::nothing, 300, kServer}));
  EXPECT_EQ(circle.ask().error(), Errc::protocol_violation);

  Asked refused;
  refused.servers.spawn(serve(refused.b, kServer, {First::nothing, 438, {}}));
  EXPECT_EQ(refused.ask().error(), Errc::refused);
}

TEST(StunAskOnce, MayBeCancelledAtAnyTime) {
  for (const auto patience : {Duration(0), Duration(1ms), Duration(500ms), Duration(20s)}) {
    Asked asked;
    const auto silent = asked.b.udp_bind(kServer);
    const auto response = std::get<0>(asked.world.run(ask_for(asked.a, patience)));
    EXPECT_EQ(response.error(), Errc::timed_out);
  }
}

}  // namespace
}  // namespace pyrsia::stun

#include "nat/stun/server.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const LogSink kSilence;

KeyPair key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Task<Response> ask_once(Env& env, Query query) {
  const Endpoint any{query.server.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any(), 0};
  PYRSIA_CO_TRY(auto client, Client::bind(env, any));
  const auto response = co_await client->ask(query);
  (void)co_await client->stop();
  co_return response;
}

/// Two members on hosts b and c, and a client on host a.
struct Members : sim::TwoHosts {
  sim::SimHost& c = net.add_host({"c", {"9.9.9.9"}});
  SourceLimit limit;  ///< Of lends.
  std::unique_ptr<Server> at_b = make(b, "5.6.7.8", 1, "9.9.9.9", 2);
  std::unique_ptr<Server> at_c = make(c, "9.9.9.9", 2, "5.6.7.8", 1);

  Members() : Members(LenderConfig().limit) {}
  explicit Members(const SourceLimit& lends) : limit(lends) {
    EXPECT_TRUE(at_b->start(nullptr));
    EXPECT_TRUE(at_c->start(nullptr));
    world.run_for(2s);
  }
  ~Members() { (void)world.run(at_b->stop(), at_c->stop()); }
  std::unique_ptr<Server> make(Env& env, const std::string& ip, std::uint8_t self,
                               const std::string& other, std::uint8_t peer) const {
    ServerConfig config;
    config.udp = {at(ip, 3478), at(ip, 3479)};
    config.members = {{at(other, 3478), key(peer).peer_id()}};
    config.key = key(self);
    config.lender.limit = limit;
    return std::make_unique<Server>(env, config, Logger("stun", kSilence));
  }
};

TEST(StunMembers, MembersAnswerForEachOther) {
  Members members;
  EXPECT_EQ(members.at_b->other_address(), at("9.9.9.9", 3479));
  Query query;
  query.server = at("5.6.7.8", 3478);
  query.change = {true, true};
  const auto [both] = members.world.run(ask_once(members.a, query));
  EXPECT_EQ(both->from, at("9.9.9.9", 3479));
  EXPECT_EQ(both->origin, at("9.9.9.9", 3479));
  EXPECT_EQ(both->mapped.ip, at("1.2.3.4", 0).ip);
  EXPECT_EQ(both->round_trip, 150ms);
  query.change = {true, false};
  const auto [ip] = members.world.run(ask_once(members.a, query));
  EXPECT_EQ(ip->from, at("9.9.9.9", 3478));
}

TEST(StunMembers, ADeadMemberIsOfferedToNobody) {
  Members members;
  members.c.crash();
  members.world.run_for(10s);
  EXPECT_EQ(members.at_b->standings().front(), Standing::silent);
  Query query;
  query.server = at("5.6.7.8", 3478);
  query.change = {true, true};
  const auto [refused] = members.world.run(ask_once(members.a, query));
  EXPECT_EQ(refused->error, 420);
  EXPECT_EQ(refused->other, std::nullopt);
}

/// Host a asks for an answer from both: another address and another port.
Result<Response> ask_for_change(sim::TwoHosts& hosts, const std::string& server) {
  Query query;
  query.server = at(server, 3478);
  query.change = {true, true};
  return std::get<0>(hosts.world.run(ask_once(hosts.a, query)));
}

/// What somebody on a host of his own says to the member at c, and what host a gets of it.
struct Stranger {
  Members& members;
  Env& host;
  Endpoint victim = at("1.2.3.4", 5000);
  std::unique_ptr<UdpSocket> ours = host.udp_bind({IpAddress::v4_any(), 5000}).value();
  std::unique_ptr<UdpSocket> its = members.a.udp_bind(victim).value();
  LendMessage message{Lend{victim, kMagicCookie, {1}, 3479, true},
                      key(1).peer_id(),
                      key(2).peer_id(),
                      members.c.wall_now() + 15s,
                      {7}};

  Bytes signed_by(const KeyPair& signer) const {
    std::array<std::uint8_t, kMaxMessageBytes> out{};
    const auto bytes = encode_lend(message, signer, out).value();
    return {bytes.begin(), bytes.end()};
  }
  void send(const Bytes& bytes) {
    EXPECT_TRUE(ours->send(at("9.9.9.9", 3478), bytes));
    members.world.run_for(1s);
  }
  /// The size of what has come, 0: nothing.
  std::size_t received() {
    std::array<std::uint8_t, kMaxMessageBytes> in{};
    auto receiving = its->receive(in);
    const auto [got] =
        members.world.run(with_timeout<Datagram>(members.a, Duration(1ms), std::move(receiving)));
    return got ? got->size : 0;
  }
  std::uint64_t counter(const std::string& name) const {
    return members.at_c->counters().at("pyrsia_stun_lends_" + name + "_total");
  }
};

TEST(StunMembers, AStolenLendIsWorthNothing) {
  Members members;
  auto& thief = members.net.add_host({"thief", {"6.6.6.6"}});
  const auto replayed = [&] {
    return members.at_c->counters().at("pyrsia_stun_lends_replayed_total");
  };
  Stranger at_b{members, members.b};
  const auto bytes = at_b.signed_by(key(1));
  at_b.send(bytes);
  const auto sent = at_b.received();
  EXPECT_GT(sent, 0U);
  EXPECT_LT(sent, bytes.size());  // Who sends it to a victim has sent more himself.
  at_b.send(bytes);
  EXPECT_EQ(at_b.received(), 0U);
  EXPECT_EQ(replayed(), 1U);
  at_b.its.reset();
  Stranger elsewhere{members, thief};
  elsewhere.message.nonce = {8};
  elsewhere.send(elsewhere.signed_by(key(1)));
  EXPECT_EQ(elsewhere.received(), 0U);
  EXPECT_EQ(elsewhere.counter("of_strangers"), 1U);
}

TEST(StunMembers, AForgedLendAndOneForAStrangePortAreRefused) {
  Members members;
  Stranger at_b{members, members.b};
  at_b.send(at_b.signed_by(key(9)));
  EXPECT_EQ(at_b.counter("forged"), 1U);
  at_b.message.lend.source_port = 53;
  at_b.send(at_b.signed_by(key(1)));
  EXPECT_EQ(at_b.counter("no_port"), 1U);
  at_b.message.nonce = {8};
  at_b.message.lend = {at("127.0.0.1", 53), kMagicCookie, {1}, 3479, true};
  at_b.send(at_b.signed_by(key(1)));
  EXPECT_EQ(at_b.counter("unreachable"), 1U);
  auto cut = at_b.signed_by(key(1));
  cut.resize(cut.size() - 8);
  at_b.send(cut);
  EXPECT_EQ(at_b.counter("malformed"), 1U);
  EXPECT_EQ(at_b.received(), 0U);
}

TEST(StunMembers, WhoeverUsesUpTheRateOfAMemberEndsItsOffer) {
  const SourceLimit few{2, 8, 4};
  Members members(few);
  ASSERT_EQ(members.at_b->standings().front(), Standing::lends);
  Stranger at_b{members, members.b};
  const auto bytes = at_b.signed_by(key(9));
  for (int i = 0; i < 1200; ++i) {
    EXPECT_TRUE(at_b.ours->send(at("9.9.9.9", 3478), bytes));
    members.world.run_for(10ms);
  }
  EXPECT_GT(at_b.counter("limited"), 1000U);
  EXPECT_LE(at_b.counter("forged"), few.burst + 13 * few.per_second);
  // Its silence would pass for a filter.
  EXPECT_EQ(members.at_b->standings().front(), Standing::not_lending);
  EXPECT_EQ(ask_for_change(members, "5.6.7.8")->error, 420);
  members.world.run_for(10s);
  EXPECT_EQ(ask_for_change(members, "5.6.7.8")->from, at("9.9.9.9", 3479));
}

TEST(StunMembers, ClocksMayDifferByFifteenSeconds) {
  for (const auto skew : {-14s, 14s}) {
    Members members;
    members.c.set_wall_offset(skew);
    members.world.run_for(20s);
    EXPECT_EQ(members.at_b->standings().front(), Standing::lends);
    EXPECT_EQ(ask_for_change(members, "5.6.7.8")->from, at("9.9.9.9", 3479));
  }
  for (const auto skew : {-16s, 16s}) {
    Members members;
    members.c.set_wall_offset(skew);
    members.world.run_for(20s);
    // Nobody is told of an address that would keep silent.
    EXPECT_EQ(members.at_b->standings().front(), Standing::not_lending);
    EXPECT_EQ(ask_for_change(members, "5.6.7.8")->error, 420);
    EXPECT_GT(members.at_c->counters().at("pyrsia_stun_lends_expired_total"), 0U);
  }
}

/// A server at b that names others as members, and what it logs.
struct Lonely : sim::TwoHosts {
  std::vector<std::string> lines;
  LogSink sink = [this](LogLevel, std::string_view, std::string_view message,
                        std::span<const LogField> fields) {
    lines.emplace_back(message);
    for (const auto& field : fields)
      if (const auto* text = std::get_if<std::string_view>(&field.value))
        lines.back() += " " + std::string(*text);
  };
  ServerConfig config;
  std::unique_ptr<Server> server;
  std::unique_ptr<Server> member;

  Lonely() {
    config.udp = {at("0.0.0.0", 3478), at("0.0.0.0", 3479)};
    config.key = key(1);
    config.members = {{at("9.9.9.9", 3478), key(2).peer_id()}};
  }
  ~Lonely() {
    if (member) (void)world.run(member->stop());
    (void)world.run(server->stop());
  }
  /// What the only member is after `duration`, and what is said of it in one line.
  Standing standing(Duration duration = 10s) {
    server = std::make_unique<Server>(b, config, Logger("stun", sink));
    EXPECT_TRUE(server->start(nullptr));
    world.run_for(duration);
    const auto standing = server->standings().front();
    std::vector<std::string> told;
    for (const auto& line : lines)
      if (line.starts_with("a member does not lend us its address")) told.push_back(line);
    EXPECT_EQ(told.size(), 1U);
    EXPECT_TRUE(told.front().ends_with(in_words(standing))) << told.front();
    EXPECT_EQ(server->counters().at("pyrsia_stun_members_lending"), 0U);
    EXPECT_EQ(server->other_address(), std::nullopt);
    EXPECT_EQ(ask_for_change(*this, "5.6.7.8")->error, 420);
    return standing;
  }
  /// There is a server at the member's address, which does not know us.
  void add_member(ServerConfig other) {
    auto& host = net.add_host({"c", {"9.9.9.9"}});
    other.udp = {at("0.0.0.0", 3478), at("0.0.0.0", 3479)};
    member = std::make_unique<Server>(host, std::move(other), Logger("stun", kSilence));
    EXPECT_TRUE(member->start(nullptr));
  }
  std::uint64_t gauge(const std::string& name) const {
    return server->counters().at("pyrsia_stun_members_" + name);
  }
};

TEST(StunMembers, ItSaysThatAMemberIsSilent) {
  Lonely lonely;
  EXPECT_EQ(lonely.standing(), Standing::silent);
  EXPECT_EQ(lonely.gauge("silent"), 1U);
}

TEST(StunMembers, ItSaysThatAMemberDoesNotKnowIt) {
  Lonely lonely;
  ServerConfig other;
  other.key = key(2);
  lonely.add_member(other);
  EXPECT_EQ(lonely.standing(), Standing::not_lending);
  EXPECT_EQ(lonely.gauge("not_lending"), 1U);
  EXPECT_GT(lonely.member->counters().at("pyrsia_stun_lends_of_strangers_total"), 0U);
}

TEST(StunMembers, ItSaysThatAMemberIsNamedByTheWrongPeerId) {
  Lonely lonely;
  ServerConfig other;
  other.key = key(3);
  other.members = {{at("5.6.7.8", 3478), key(1).peer_id()}};
  lonely.add_member(other);
  EXPECT_EQ(lonely.standing(), Standing::not_lending);
}

TEST(StunMembers, ItSaysThatAMembersAddressIsItsOwn) {
  Lonely lonely;
  lonely.config.members.front().endpoint = at("5.6.7.8", 3478);
  EXPECT_EQ(lonely.standing(), Standing::ours);
  EXPECT_EQ(lonely.gauge("ours"), 1U);
}

TEST(StunMembers, ItSaysThatOnePortIsTooFew) {
  Lonely lonely;
  lonely.config.udp.pop_back();
  EXPECT_EQ(lonely.standing(), Standing::one_port);
  EXPECT_EQ(lonely.gauge("one_port"), 1U);
}

TEST(StunMembers, ItSaysThatAMemberIsOfAnotherFamily) {
  Lonely lonely;
  lonely.config.members.front().endpoint = at("2001:db8::9", 3478);
  EXPECT_EQ(lonely.standing(), Standing::other_family);
  EXPECT_EQ(lonely.gauge("other_family"), 1U);
}

TEST(StunMembers, AListOfMembersMayNameItselfToo) {
  Lonely lonely;
  lonely.config.members.push_back({at("5.6.7.8", 3478), key(1).peer_id()});
  EXPECT_EQ(lonely.standing(), Standing::silent);
  EXPECT_EQ(lonely.server->standings().size(), 1U);
}

TEST(StunMembers, ARefusalIsToldOnceAMinute) {
  Lonely lonely;
  lonely.config.members.clear();
  lonely.server = std::make_unique<Server>(lonely.b, lonely.config, Logger("stun", lonely.sink));
  ASSERT_TRUE(lonely.server->start(nullptr));
  const LendMessage message{Lend{at("1.1.1.1", 1), kMagicCookie, {1}, 3479, true},
                            key(2).peer_id(),
                            key(1).peer_id(),
                            lonely.b.wall_now() + 10s,
                            {7}};
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto bytes = encode_lend(message, key(2), out).value();
  const auto socket = lonely.a.udp_bind(at("1.2.3.4", 0)).value();
  for (int second = 0; second < 90; ++second) {
    EXPECT_TRUE(socket->send(at("5.6.7.8", 3478), bytes));
    lonely.world.run_for(1s);
  }
  ASSERT_EQ(lonely.lines.size(), 2U);
  EXPECT_NE(lonely.lines[0].find("1.2.3.4"), std::string::npos);
  EXPECT_NE(lonely.lines[0].find(in_words(Refusal::not_a_member)), std::string::npos);
  EXPECT_EQ(lonely.server->counters().at("pyrsia_stun_lends_of_strangers_total"), 90U);
}

/// Three servers that listen on all addresses, of which two have more than one.
struct OnAllAddresses : sim::TwoHosts {
  sim::SimHost& first = net.add_host({"first", {"7.7.7.1", "7.7.7.2"}});
  sim::SimHost& second = net.add_host({"second", {"8.8.8.1", "8.8.8.2"}});
  sim::SimHost& third = net.add_host({"third", {"9.9.9.9"}});
  std::vector<Member> members{{at("7.7.7.1", 3478), key(1).peer_id()},
                              {at("8.8.8.2", 3478), key(2).peer_id()},
                              {at("9.9.9.9", 3478), key(3).peer_id()}};
  std::vector<std::unique_ptr<Server>> servers;

  OnAllAddresses() {
    for (auto* host : {&first, &second, &third}) {
      ServerConfig config;
      config.udp = {at("0.0.0.0", 3478), at("0.0.0.0", 3479)};
      config.members = members;
      config.key = key(static_cast<std::uint8_t>(servers.size() + 1));
      servers.push_back(std::make_unique<Server>(*host, config, Logger("stun", kSilence)));
      EXPECT_TRUE(servers.back()->start(nullptr));
    }
    world.run_for(10s);
  }
  ~OnAllAddresses() {
    for (const auto& server : servers) (void)world.run(server->stop());
  }
};

TEST(StunMembers, OnAllAddressesAMembersAddressIsLentAsWell) {
  OnAllAddresses all;
  Query query;
  query.server = at("7.7.7.2", 3478);
  const auto [plain] = all.world.run(ask_once(all.a, query));
  EXPECT_EQ(plain->from, query.server);
  EXPECT_EQ(plain->origin, query.server);
  EXPECT_EQ(plain->other, at("8.8.8.2", 3479));
  // By the address that clients were told, though it is not the one that packets leave from.
  EXPECT_EQ(ask_for_change(all, "7.7.7.2")->from, at("8.8.8.2", 3479));
  query.change.port = true;
  const auto [port] = all.world.run(ask_once(all.a, query));
  EXPECT_EQ(port->from, at("7.7.7.2", 3479));
  EXPECT_EQ(port->origin, at("7.7.7.2", 3479));
}

TEST(StunMembers, EachFamilyHasAMemberOfItsOwn) {
  sim::TwoHosts hosts;
  auto& c = hosts.net.add_host({"c", {"9.9.9.9", "2001:db8::3"}});
  const auto make = [](Env& env, std::uint8_t self, std::vector<Endpoint> at_it) {
    ServerConfig config;
    for (const auto* ip : {"0.0.0.0", "::"})
      for (const std::uint16_t port : {3478, 3479}) config.udp.push_back(at(ip, port));
    const std::uint8_t other = self == 1 ? 2 : 1;
    for (const auto& endpoint : at_it) config.members.push_back({endpoint, key(other).peer_id()});
    config.key = key(self);
    return std::make_unique<Server>(env, config, Logger("stun", kSilence));
  };
  const auto at_b = make(hosts.b, 1, {at("9.9.9.9", 3478), at("2001:db8::3", 3478)});
  const auto at_c = make(c, 2, {at("5.6.7.8", 3478), at("2001:db8::2", 3478)});
  ASSERT_TRUE(at_b->start(nullptr));
  ASSERT_TRUE(at_c->start(nullptr));
  hosts.world.run_for(2s);
  EXPECT_EQ(ask_for_change(hosts, "5.6.7.8")->from, at("9.9.9.9", 3479));
  EXPECT_EQ(ask_for_change(hosts, "2001:db8::2")->from, at("2001:db8::3", 3479));
  (void)hosts.world.run(at_b->stop(), at_c->stop());
}

TEST(StunMembers, AnotherMemberStepsIn) {
  OnAllAddresses all;
  all.second.crash();
  all.world.run_for(10s);
  EXPECT_EQ(ask_for_change(all, "7.7.7.1")->from, at("9.9.9.9", 3479));
  EXPECT_EQ(all.servers[0]->counters().at("pyrsia_stun_members_lost_total"), 1U);
  all.third.crash();
  all.world.run_for(10s);
  EXPECT_EQ(ask_for_change(all, "7.7.7.1")->error, 420);
}

}  // namespace
}  // namespace pyrsia::stun

#include "nat/behaviour/survey.hpp"

#include "nat/behaviour/lifetime.hpp"
#include "nat/stun/server.hpp"
#include "sim/nat_kinds.hpp"
#include "sim/two_hosts.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace pyrsia::nat {
namespace {

using namespace std::chrono_literals;
using sim::at;
using enum Dependence;
namespace json = boost::json;

const LogSink kSilence;
const std::string kOutside = "203.0.113.7";

/// A host behind a NAT of some kind, and a STUN server with two addresses 20 ms away.
struct Behind {
  /// The NAT next to the host comes first.
  explicit Behind(const std::vector<std::string>& kinds, bool has_v4 = true, bool has_v6 = false,
                  const std::string& between = "100.64.0") {
    net.set_default_path(sim::delay_of(10ms));
    const bool translates = std::ranges::any_of(kinds, does_translate);
    const std::string inner = translates ? "192.168.1" : "198.51.100";
    // The outermost that translates has the address that servers see.
    bool is_inside = false;
    for (auto i = kinds.size(); i-- > 0;) {
      add_nat(kinds[i], (i == 0 ? inner : between) + ".1", is_inside ? between + ".2" : kOutside);
      is_inside = is_inside || does_translate(kinds[i]);
    }
    std::vector<std::string> addresses;
    if (has_v4) addresses.emplace_back(inner + ".2");
    if (has_v6) addresses.emplace_back("2a0e:2::2");
    host = &net.add_host({"host", addresses, nat});
    // Beside IPv6, IPv4 without a router counts for nothing.
    if (has_v4 && has_v6) host->set_gateways({inner + ".1"});
    std::vector<Endpoint> endpoints;
    for (const auto* ip : {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"})
      for (const std::uint16_t port : {3478, 3479}) endpoints.push_back(at(ip, port));
    serve(endpoints);
  }
  ~Behind() { (void)world.run(server->stop()); }
  static bool does_translate(const std::string& kind) {
    return sim::find_nat_kind(kind)->translates;
  }
  /// Behind those that are there.
  void add_nat(const std::string& kind, const std::string& inside, const std::string& outside) {
    auto config = sim::find_nat_kind(kind)->config;
    config.inside = IpAddress::parse(inside).value();
    if (does_translate(kind)) config.external = {IpAddress::parse(outside).value()};
    nat = &net.add_nat(config, nat);
  }
  void serve(std::vector<Endpoint> endpoints) {
    if (server) (void)world.run(server->stop());
    stun::ServerConfig config;
    config.udp = config.tcp = std::move(endpoints);
    server = std::make_unique<stun::Server>(far, config, Logger("stun", kSilence));
    EXPECT_TRUE(server->start(nullptr));
  }
  Report survey() {
    SurveyConfig config;
    config.servers = {at("192.0.2.1", 3478)};
    return survey(config);
  }
  Report survey(const SurveyConfig& config) {
    return std::get<0>(world.run(run_survey(*host, config))).value();
  }
  static Task<Report> run_survey(Env& env, SurveyConfig config) {
    Survey survey(env, std::move(config));
    auto report = co_await survey.run();
    (void)co_await survey.stop();
    co_return report;
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& far =
      net.add_host({"far", {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"}});
  sim::SimNat* nat = nullptr;
  sim::SimHost* host = nullptr;
  std::unique_ptr<stun::Server> server;
};

/// The table of the lab: what a probe has to say behind each kind of NAT. See its `about`.
json::object nat_table() {
  std::ifstream in(PYRSIA_NAT_TABLE, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  return json::parse(text).as_object();
}

template <class T>
json::value value_of(const std::optional<T>& fact) {
  return fact ? json::value(*fact) : json::value(nullptr);
}
template <class T>
json::value named(const std::optional<T>& fact) {
  return fact ? json::value(name(*fact)) : json::value(nullptr);
}
json::value seconds_of(const std::optional<Duration>& time) {
  if (!time) return nullptr;
  return std::chrono::duration_cast<std::chrono::seconds>(*time).count();
}

/// The facts of the table, out of a report.
json::object facts_of(const Report& report) {
  const auto& [udp, tcp] = std::tie(report.udp, report.tcp);
  const auto advice = advise(report);
  const auto alive = udp.lifetime ? std::optional(udp.lifetime->alive) : std::nullopt;
  const auto gone = udp.lifetime ? udp.lifetime->gone : std::nullopt;
  return {{"verdict", name(advice.verdict)},
          {"fix", std::regex_replace(advice.fix, std::regex(" \\([0-9.]*\\)"), "")},
          {"position", named(report.position)},
          {"nat_layers", value_of(nat_layers(report).count)},
          {"udp.blocked", value_of(udp.is_blocked)},
          {"udp.nat", value_of(udp.has_nat)},
          {"udp.mapping", named(udp.mapping)},
          {"udp.mapping_varies", value_of(udp.mapping_varies)},
          {"udp.filtering", named(udp.filtering)},
          {"udp.allocation", named(udp.allocation)},
          {"udp.allocation_step", value_of(udp.allocation_step)},
          {"udp.hairpin", value_of(udp.has_hairpin)},
          {"udp.fragments", value_of(udp.passes_fragments)},
          {"udp.lifetime_alive_s", seconds_of(alive)},
          {"udp.lifetime_gone_s", seconds_of(gone)},
          {"tcp.blocked", value_of(tcp.is_blocked)},
          {"tcp.mapping", named(tcp.mapping)},
          {"tcp.mapping_varies", value_of(tcp.mapping_varies)},
          {"ipv6.works", value_of(report.has_ipv6)},
          {"ipv6.nat", value_of(report.has_nat_v6)},
          {"ipv6.filtering", named(report.filtering_v6)},
          {"ipv6.nat64_prefix", report.nat64_prefix}};
}

/// What the row says, and of what it does not name what is usual.
json::object expected_facts(const json::object& table, const json::object& row) {
  auto facts = table.at("usual").as_object();
  for (const auto& [fact, wish] : row.at("facts").as_object()) {
    EXPECT_TRUE(facts.contains(fact)) << fact;
    facts[fact] = wish;
  }
  return facts;
}

std::vector<std::string> words_of(const json::value& list) {
  return json::value_to<std::vector<std::string>>(list);
}

TEST(Survey, SaysBehindEveryKindWhatTheTableOfTheLabSaysWithinTwoSeconds) {
  const auto table = nat_table();
  std::set<std::string> seen;
  for (const auto& each : table.at("rows").as_array()) {
    const auto& row = each.as_object();
    if (!row.contains("sim")) continue;
    SCOPED_TRACE(row.at("name").as_string().c_str());
    const auto kinds = words_of(row.at("sim"));
    const auto expected = expected_facts(table, row);
    const bool has_v4 = !row.contains("ipv4") || row.at("ipv4").as_bool();
    const bool has_v6 = row.contains("ipv6");
    const auto* between = row.if_contains("between");
    Behind behind(kinds, has_v4, has_v6, between ? between->as_string().c_str() : "100.64.0");
    SurveyConfig config;
    if (has_v4) config.servers.push_back(at("192.0.2.1", 3478));
    if (has_v6) config.servers.push_back(at("2001:db8::1", 3478));
    config.measures_lifetime = !expected.at("udp.lifetime_alive_s").is_null();
    const auto report = behind.survey(config);
    const auto facts = facts_of(report);
    for (const auto& [fact, wish] : expected) EXPECT_EQ(facts.at(fact), wish) << fact;
    EXPECT_EQ(facts.size(), expected.size());
    if (!config.measures_lifetime) {
      EXPECT_LT(report.took, 2s);
    }
    if (kinds.size() == 1) seen.insert(kinds.front());
  }
  for (const auto& kind : sim::nat_kinds())
    EXPECT_TRUE(seen.contains(std::string(kind.name))) << kind.name;
}

TEST(Survey, TheNamesOfRfc3489AreAHint) {
  const std::map<std::string, std::string_view> names{{"full-cone", "full cone"},
                                                      {"restricted-cone", "restricted cone"},
                                                      {"port-restricted", "port-restricted cone"},
                                                      {"address-dependent-mapping", "symmetric"},
                                                      {"symmetric-open-filter", "symmetric"},
                                                      {"firewall", "firewall without NAT"},
                                                      {"open-firewall", "open internet"},
                                                      {"udp-blocked", "UDP blocked"}};
  for (const auto& [kind, cone] : names) EXPECT_EQ(cone_name(Behind({kind}).survey().udp), cone);
}

TEST(Survey, BlockedUdpIsToldFromNoNetwork) {
  Behind blocked({"udp-blocked"});
  const auto report = blocked.survey();
  EXPECT_EQ(report.udp.is_blocked, true);
  EXPECT_EQ(report.tcp.is_blocked, false);
  EXPECT_EQ(advise(report).verdict, Verdict::udp_blocked);
  EXPECT_LT(report.took, 2s);
  Behind offline({"port-restricted"});
  offline.net.partition({offline.host}, {&offline.far});
  const auto nothing = offline.survey();
  EXPECT_EQ(nothing.udp.is_blocked, std::nullopt);
  EXPECT_EQ(nothing.tcp.is_blocked, std::nullopt);
  EXPECT_EQ(advise(nothing).verdict, Verdict::offline);
  EXPECT_LT(nothing.took, 2s);
}

TEST(Survey, BehindTwoNatsTheOuterAddressIsSeen) {
  EXPECT_EQ(Behind({"full-cone", "symmetric"}).survey().udp.mapped->ip,
            IpAddress::parse(kOutside).value());
}

TEST(Survey, AServerWithOneAddressLeavesUnknownWhatItCannotShow) {
  Behind behind({"port-restricted"});
  behind.serve({at("192.0.2.1", 3478)});
  const auto report = behind.survey();
  EXPECT_EQ(report.udp.has_nat, true);
  EXPECT_EQ(report.udp.mapping, std::nullopt);
  EXPECT_EQ(report.udp.mapping_varies, std::nullopt);
  EXPECT_EQ(report.udp.filtering, std::nullopt);
  EXPECT_EQ(report.udp.passes_fragments, std::nullopt);
  EXPECT_EQ(report.udp.allocation, Allocation::preserved);
}

TEST(Survey, SeveralPlainServersShowWhetherTheMappingVaries) {
  for (const auto* kind : {"port-restricted", "symmetric"}) {
    Behind behind({kind});
    behind.serve({at("192.0.2.1", 3478), at("192.0.2.2", 4000)});
    SurveyConfig config;
    config.servers = {at("192.0.2.1", 3478), at("192.0.2.2", 4000)};
    const auto report = behind.survey(config);
    EXPECT_EQ(report.udp.mapping_varies, kind == std::string_view("symmetric"));
  }
}

TEST(Survey, TwoPortsOfOneAddressDoNotShowThatTheMappingDoesNotVary) {
  for (const auto* kind : {"address-dependent-mapping", "symmetric"}) {
    Behind behind({kind});
    behind.serve({at("192.0.2.1", 3478)});
    stun::ServerConfig config;
    config.udp = {at("192.0.2.1", 4000)};
    stun::Server second(behind.far, config, Logger("stun", kSilence));
    ASSERT_TRUE(second.start(nullptr));
    SurveyConfig survey;
    survey.servers = {at("192.0.2.1", 3478), at("192.0.2.1", 4000)};
    const auto varies = behind.survey(survey).udp.mapping_varies;
    EXPECT_EQ(varies, kind == std::string_view("symmetric") ? std::optional(true) : std::nullopt);
    (void)behind.world.run(second.stop());
  }
}

TEST(Survey, ThatOneServerIsSilentOverIpv6IsNoProofThatIpv6IsDead) {
  Behind behind({"port-restricted"}, true, true);
  SurveyConfig config;
  config.servers = {at("192.0.2.1", 3478), at("2001:db8::77", 3478)};
  EXPECT_EQ(behind.survey(config).has_ipv6, std::nullopt);
  config.servers.push_back(at("2001:db8::78", 3478));
  EXPECT_EQ(behind.survey(config).has_ipv6, false);
  // Nor are several where nothing answers at all.
  config.servers.erase(config.servers.begin());
  EXPECT_EQ(behind.survey(config).has_ipv6, std::nullopt);
}

TEST(Survey, TheAddressThatPacketsLeaveFromIsKnownWithoutTcpWhereThereIsNoChoice) {
  Behind behind({"port-restricted"});
  stun::ServerConfig config;
  (void)behind.world.run(behind.server->stop());
  config.udp = {at("192.0.2.1", 3478)};
  behind.server = std::make_unique<stun::Server>(behind.far, config, Logger("stun", kSilence));
  ASSERT_TRUE(behind.server->start(nullptr));
  EXPECT_EQ(behind.survey().interface_ip, std::nullopt);  // No router is known.
  behind.host->set_gateways({"192.168.1.1"});
  const auto report = behind.survey();
  EXPECT_EQ(report.tcp.is_blocked, std::nullopt);
  EXPECT_EQ(report.interface_ip, at("192.168.1.2", 0).ip);
}

TEST(Survey, Ipv6IsSeenOverTcpWhereUdpIsBlocked) {
  Behind behind({"udp-blocked"}, true, true);
  SurveyConfig config;
  config.servers = {at("192.0.2.1", 3478), at("2001:db8::1", 3478)};
  const auto report = behind.survey(config);
  EXPECT_EQ(report.udp.is_blocked, true);
  EXPECT_EQ(report.has_ipv6, true);
  EXPECT_EQ(report.mapped_v6->ip, at("2a0e:2::2", 0).ip);
}

TEST(Survey, ADeadServerDoesNotHoldUpALivingOne) {
  Behind behind({"port-restricted"});
  SurveyConfig config;
  config.servers = {at("192.0.2.77", 3478), at("192.0.2.1", 3478)};
  const auto report = behind.survey(config);
  EXPECT_EQ(report.server, at("192.0.2.1", 3478));
  EXPECT_EQ(report.udp.filtering, address_and_port_dependent);
  EXPECT_LT(report.took, 2s);
}

TEST(Survey, ALossyPathChangesNoVerdict) {
  for (std::uint64_t seed : sim::seeds(20)) {
    SCOPED_TRACE(sim::seed_trace(seed));
    Behind behind({"restricted-cone"});
    auto path = sim::delay_of(10ms);
    path.loss = 0.05;
    behind.net.set_default_path(path);
    const auto report = behind.survey();
    // Three lost in a row leave a fact unknown or, of the filter, too strict; never too open.
    EXPECT_NE(report.udp.filtering, endpoint_independent);
    EXPECT_NE(report.udp.mapping, address_and_port_dependent);
  }
}

/// A server in a cloud: it knows its two private addresses only, and one of them has a public one,
/// of which these ports are open.
void move_to_a_cloud(Behind& behind, std::vector<std::uint16_t> ports) {
  sim::NatConfig cloud;
  cloud.external = {IpAddress::parse("192.0.2.9").value()};
  cloud.max_mapping_count = 0;
  for (const auto port : ports)
    cloud.forwards.push_back({sim::Protocol::udp, port, at("10.0.0.1", port)});
  auto& machine =
      behind.net.add_host({"clouded", {"10.0.0.1", "10.0.0.2"}, &behind.net.add_nat(cloud)});
  (void)behind.world.run(behind.server->stop());
  stun::ServerConfig config;
  config.udp = {at("10.0.0.1", 3478), at("10.0.0.1", 3479), at("10.0.0.2", 3478),
                at("10.0.0.2", 3479)};
  behind.server = std::make_unique<stun::Server>(machine, config, Logger("stun", kSilence));
  ASSERT_TRUE(behind.server->start(nullptr));
}

/// The same server, where a NAT64 has it.
void translate(Behind& behind) {
  behind.net.dns().add("ipv4only.arpa", {"64:ff9b::c000:aa", "64:ff9b::c000:ab"});
  auto& there = behind.net.add_host({"translated", {"64:ff9b::c000:201", "64:ff9b::c000:202"}});
  (void)behind.world.run(behind.server->stop());
  stun::ServerConfig config;
  for (const auto* ip : {"64:ff9b::c000:201", "64:ff9b::c000:202"})
    for (const std::uint16_t port : {3478, 3479}) config.udp.push_back(at(ip, port));
  config.tcp = config.udp;
  behind.server = std::make_unique<stun::Server>(there, config, Logger("stun", kSilence));
  ASSERT_TRUE(behind.server->start(nullptr));
}

TEST(Survey, WhereThereIsNothingElseServersAreReachedThroughTheNat64) {
  for (const bool has_v4 : {false, true}) {
    Behind behind({"firewall"}, has_v4, true);
    translate(behind);
    const auto report = behind.survey();
    EXPECT_EQ(report.nat64_prefix, "64:ff9b::/96");
    if (has_v4) {
      EXPECT_EQ(report.server, std::nullopt);
      continue;
    }
    EXPECT_EQ(report.server, at("64:ff9b::c000:201", 3478));
    EXPECT_EQ(report.udp.filtering, address_and_port_dependent);
    EXPECT_EQ(report.tcp.mapping, endpoint_independent);
  }
}

TEST(Survey, ServersOfIpv4ThatAreOutOfReachDoNotHideThoseOfIpv6) {
  Behind behind({"firewall"}, false, true);
  SurveyConfig config;
  config.servers = {at("192.0.2.1", 3478), at("2001:db8::1", 3478)};
  const auto report = behind.survey(config);
  EXPECT_EQ(report.server, at("2001:db8::1", 3478));
  EXPECT_EQ(report.has_ipv6, true);
  EXPECT_EQ(advise(report).verdict, Verdict::direct);
}

TEST(Survey, AServerThatCannotSendFromItsOtherAddressProvesNoFilter) {
  for (const auto& ports : {std::vector<std::uint16_t>{3478, 3479}, {3478}}) {
    Behind behind({"full-cone"});
    move_to_a_cloud(behind, ports);
    SurveyConfig config;
    config.servers = {at("192.0.2.9", 3478)};
    const auto report = behind.survey(config);
    EXPECT_EQ(report.udp.is_blocked, false);
    EXPECT_EQ(report.udp.mapping, std::nullopt);
    EXPECT_EQ(report.udp.filtering, std::nullopt);
  }
}

Task<LifetimeRange> measure(Env& env, LifetimeConfig config) {
  LifetimeProbe probe(env, at("192.0.2.1", 3478), IpAddress::v4_any(), std::move(config));
  auto range = co_await probe.run();
  (void)co_await probe.stop();
  co_return range;
}

TEST(Lifetime, IsFoundBetweenTwoWaits) {
  Behind behind({"short-lived"});
  const auto start = behind.world.now();
  const auto [range] = behind.world.run(measure(*behind.host, LifetimeConfig()));
  EXPECT_EQ(*range, (LifetimeRange{15s, 25s}));
  // Nobody waits for what can no longer say anything else.
  EXPECT_LT(behind.world.now() - start, 30s);
  Behind usual({"port-restricted"});
  const auto usual_start = usual.world.now();
  const auto [two_minutes] = usual.world.run(measure(*usual.host, LifetimeConfig()));
  EXPECT_EQ(*two_minutes, (LifetimeRange{95s, 125s}));
  EXPECT_LT(usual.world.now() - usual_start, 130s);
}

TEST(Lifetime, ADeadServerSaysNothing) {
  Behind behind({"short-lived"});
  behind.net.partition({behind.host}, {&behind.far});
  const auto [range] = behind.world.run(measure(*behind.host, LifetimeConfig()));
  EXPECT_EQ(range.error(), Errc::timed_out);
}

constexpr std::string_view kStatus = "{\"peers_count\":1,\"peer_id\":\"x\",\"peer_addrs\":[]}";

/// A host that reaches no STUN server, and whose HTTP requests end at a server with these answers.
struct Intercepted {
  using Answers = std::map<std::string, std::string>;  ///< Of each path, head and body.

  explicit Intercepted(Answers answers) : answers_(std::move(answers)) {
    net.dns().add("boot.test", {"192.0.2.80"});
    tasks_.spawn(serve());
  }
  ~Intercepted() { world.run(stop()); }

  static std::string page(std::string_view body, std::string_view status = "200 OK") {
    return "HTTP/1.1 " + std::string(status) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
  }
  static std::string redirect(const std::string& to) {
    return "HTTP/1.1 302 Found\r\nLocation: " + to + "\r\nContent-Length: 0\r\n\r\n";
  }
  Report survey(std::vector<Endpoint> servers = {}) {
    SurveyConfig config;
    config.servers = std::move(servers);
    config.status_urls = {"http://boot.test/status"};
    return std::get<0>(world.run(Behind::run_survey(host, config))).value();
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& far = net.add_host({"far", {"192.0.2.80"}});
  sim::SimHost& host = net.add_host({"host", {"198.51.100.2"}});

 private:
  Task<> serve() {
    for (;;) {
      PYRSIA_CO_TRY(const auto socket, co_await listener_->accept());
      std::array<std::uint8_t, 1000> bytes;
      const auto count = co_await socket->read_some(bytes);
      if (!count) continue;
      const auto request = as_text(BytesView(bytes).first(*count));
      const auto path = std::string(request.substr(4, request.find(' ', 4) - 4));
      const auto found = answers_.find(path);
      const auto text = found == answers_.end() ? page("", "404 Not Found") : found->second;
      const auto written = co_await socket->write_all(as_bytes(text));
      if (!written) continue;
      PYRSIA_CO_TRY(co_await socket->close_write());
      const auto end = co_await socket->read_some(bytes);
      if (!end) continue;
    }
  }
  Task<> stop() {
    tasks_.cancel();
    co_return co_await tasks_.join();
  }

  Answers answers_;
  std::unique_ptr<TcpListener> listener_ = far.tcp_listen(at("192.0.2.80", 80), {}).value();
  TaskGroup tasks_{far};
};

TEST(Portal, IsSeenByALoginPageHoweverItComes) {
  const auto login = Intercepted::page("<html>Please sign in.</html>");
  for (const auto& answers :
       {Intercepted::Answers{{"/status", login}},
        {{"/status", Intercepted::page("", "511 Network Authentication Required")}},
        {{"/status", Intercepted::redirect("http://192.0.2.80/login")}, {"/login", login}}}) {
    const auto report = Intercepted(answers).survey();
    EXPECT_EQ(report.is_captive, true);
    EXPECT_EQ(advise(report).verdict, Verdict::captive);
  }
}

TEST(Portal, APageThatIsTooLargeForABootServerIsALoginPage) {
  const std::string large(std::size_t(200) << 10, 'x');
  const auto report = Intercepted({{"/status", Intercepted::page(large)}}).survey();
  EXPECT_EQ(report.is_captive, true);
}

TEST(Portal, ABootServerThatMovesPeopleIsNone) {
  const auto moved = Intercepted({{"/status", Intercepted::redirect("/v2/status")},
                                  {"/v2/status", Intercepted::page(kStatus)}})
                         .survey();
  EXPECT_EQ(moved.is_captive, false);
  // To its own https, which the simulated network does not speak: nothing can be said.
  const auto secured =
      Intercepted({{"/status", Intercepted::redirect("https://boot.test/status")}}).survey();
  EXPECT_EQ(secured.is_captive, std::nullopt);
  EXPECT_EQ(advise(secured).verdict, Verdict::offline);
}

TEST(Portal, IsNotClaimedWhereAStunServerAnswers) {
  Intercepted there({{"/status", Intercepted::page("<html>Welcome</html>")}});
  stun::ServerConfig config;
  config.udp = {at("192.0.2.80", 3478)};
  stun::Server server(there.far, config, Logger("stun", kSilence));
  ASSERT_TRUE(server.start(nullptr));
  const auto report = there.survey({at("192.0.2.80", 3478)});
  EXPECT_EQ(report.is_captive, false);
  EXPECT_NE(advise(report).verdict, Verdict::captive);
  (void)there.world.run(server.stop());
}

TEST(Portal, IsKnownByWhatItAnswers) {
  HttpResponse response;
  response.status = 200;
  response.body = R"({"peers_count":1,"peer_id":"x","peer_addrs":[]})";
  EXPECT_EQ(is_portal_answer(response), false);
  response.body = "<html>Welcome! Please sign in.</html>";
  EXPECT_EQ(is_portal_answer(response), true);
  response.status = 511;
  EXPECT_EQ(is_portal_answer(response), true);
  response.status = 302;  // To nowhere: one with a goal is followed.
  EXPECT_EQ(is_portal_answer(response), std::nullopt);
  response.status = 503;
  EXPECT_EQ(is_portal_answer(response), std::nullopt);
}

TEST(Survey, ManyDeadServersTakeNoLongerThanOne) {
  Behind behind({"port-restricted"});
  const auto took = [&](int count) {
    SurveyConfig config;
    config.asks_gateway = false;
    for (int i = 1; i <= count; ++i) {
      const auto dead = at("192.0.2." + std::to_string(100 + i), 3478);
      config.servers.push_back(dead);
      config.status_urls.push_back("http://" + dead.ip.to_string() + ":7888/status");
    }
    auto [report] = behind.world.run(Behind::run_survey(*behind.host, config));
    EXPECT_TRUE(report);
    EXPECT_FALSE(report->server);
    EXPECT_EQ(report->tcp.is_blocked, std::nullopt);
    return report->took;
  };
  const auto alone = took(1);
  EXPECT_LE(alone, 3s);
  EXPECT_EQ(took(8), alone);
}

}  // namespace
}  // namespace pyrsia::nat

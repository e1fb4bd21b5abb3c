#include "nat/behaviour/survey.hpp"

#include "nat/behaviour/lifetime.hpp"
#include "nat/stun/server.hpp"
#include "sim/nat_kinds.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>

namespace pyrsia::nat {
namespace {

using namespace std::chrono_literals;
using sim::at;
using enum Dependence;

const LogSink kSilence;
constexpr std::string_view kOutside = "203.0.113.7";

/// A host behind a NAT of some kind, and a STUN server with two addresses 20 ms away.
struct Behind {
  explicit Behind(std::string_view kind, bool is_double = false) {
    net.set_default_path(sim::delay_of(10ms));
    const auto* found = sim::find_nat_kind(kind);
    EXPECT_NE(found, nullptr) << kind;
    auto config = found->config;
    if (found->translates) config.external = {IpAddress::parse(kOutside).value()};
    sim::SimNat* outer = nullptr;
    if (is_double) {
      outer = &net.add_nat(config);
      config = sim::find_nat_kind("full-cone")->config;
      config.external = {IpAddress::parse("100.64.0.2").value()};
    }
    nat = &net.add_nat(config, outer);
    host = &net.add_host({"host", {found->translates ? "192.168.1.2" : "198.51.100.2"}, nat});
    serve({at("192.0.2.1", 3478), at("192.0.2.1", 3479), at("192.0.2.2", 3478),
           at("192.0.2.2", 3479)});
  }
  ~Behind() { (void)world.run(server->stop()); }
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
  sim::SimHost& far = net.add_host({"far", {"192.0.2.1", "192.0.2.2"}});
  sim::SimNat* nat = nullptr;
  sim::SimHost* host = nullptr;
  std::unique_ptr<stun::Server> server;
};

struct Truth {
  std::optional<bool> has_nat;
  std::optional<Dependence> mapping;
  std::optional<Dependence> filtering;
  std::optional<Allocation> allocation;
  std::optional<bool> has_hairpin = false;
  Verdict verdict = Verdict::direct;
  std::string_view cone_name = "";
};

const std::map<std::string_view, Truth> kTruths{
    {"full-cone",
     {true, endpoint_independent, endpoint_independent, Allocation::preserved, false,
      Verdict::direct, "full cone"}},
    {"restricted-cone",
     {true, endpoint_independent, address_dependent, Allocation::preserved, false, Verdict::direct,
      "restricted cone"}},
    {"port-restricted",
     {true, endpoint_independent, address_and_port_dependent, Allocation::preserved, false,
      Verdict::direct, "port-restricted cone"}},
    {"address-dependent-mapping",
     {true, address_dependent, address_and_port_dependent, Allocation::random, false,
      Verdict::relayed, "symmetric"}},
    {"symmetric",
     {true, address_and_port_dependent, address_and_port_dependent, Allocation::random, false,
      Verdict::relayed, "symmetric"}},
    {"symmetric-sequential",
     {true, address_and_port_dependent, address_and_port_dependent, Allocation::sequential, false,
      Verdict::degraded, "symmetric"}},
    {"symmetric-step-2",
     {true, address_and_port_dependent, address_and_port_dependent, Allocation::sequential, false,
      Verdict::degraded, "symmetric"}},
    {"symmetric-open-filter",
     {true, address_and_port_dependent, endpoint_independent, Allocation::random, false,
      Verdict::relayed, "symmetric"}},
    {"easy-random-ports",
     {true, endpoint_independent, address_and_port_dependent, Allocation::random, false,
      Verdict::direct, "port-restricted cone"}},
    {"easy-sequential-ports",
     {true, endpoint_independent, address_and_port_dependent, Allocation::sequential, false,
      Verdict::direct, "port-restricted cone"}},
    {"easy-contiguous-ports",
     {true, endpoint_independent, address_and_port_dependent, Allocation::contiguous, false,
      Verdict::direct, "port-restricted cone"}},
    {"easy-parity",
     {true, endpoint_independent, address_and_port_dependent, Allocation::parity, false,
      Verdict::direct, "port-restricted cone"}},
    {"hairpin",
     {true, endpoint_independent, endpoint_independent, Allocation::preserved, true,
      Verdict::direct, "full cone"}},
    {"hairpin-port-restricted",
     {true, endpoint_independent, address_and_port_dependent, Allocation::preserved, true,
      Verdict::direct, "port-restricted cone"}},
    {"short-lived",
     {true, endpoint_independent, address_and_port_dependent, Allocation::preserved, false,
      Verdict::direct, "port-restricted cone"}},
    {"no-fragments",
     {true, endpoint_independent, address_and_port_dependent, Allocation::preserved, false,
      Verdict::direct, "port-restricted cone"}},
    {"firewall",
     {false, endpoint_independent, address_and_port_dependent, std::nullopt, std::nullopt,
      Verdict::direct, "firewall without NAT"}},
    {"open-firewall",
     {false, endpoint_independent, endpoint_independent, std::nullopt, std::nullopt,
      Verdict::direct, "open internet"}},
};

TEST(Survey, IsRightAboutEveryKindOfNatWithinTwoSeconds) {
  std::size_t seen = 0;
  for (const auto& kind : sim::nat_kinds()) {
    if (kind.name == "udp-blocked") continue;
    SCOPED_TRACE(kind.name);
    ASSERT_TRUE(kTruths.contains(kind.name));
    const auto& truth = kTruths.at(kind.name);
    Behind behind(kind.name);
    const auto report = behind.survey();
    EXPECT_EQ(report.udp.is_blocked, false);
    EXPECT_EQ(report.udp.has_nat, truth.has_nat);
    EXPECT_EQ(report.udp.mapping, truth.mapping);
    EXPECT_EQ(report.udp.filtering, truth.filtering);
    EXPECT_EQ(report.udp.allocation, truth.allocation);
    EXPECT_EQ(report.udp.has_hairpin, truth.has_hairpin);
    EXPECT_EQ(report.udp.passes_fragments, kind.name != "no-fragments");
    EXPECT_EQ(report.tcp.is_blocked, false);
    EXPECT_EQ(report.tcp.mapping, truth.mapping);
    EXPECT_EQ(advise(report).verdict, truth.verdict);
    EXPECT_EQ(cone_name(report.udp), truth.cone_name);
    EXPECT_LT(report.took, 2s);
    ++seen;
  }
  EXPECT_EQ(seen, kTruths.size());
}

TEST(Survey, TheStepOfASequentialNatIsKnown) {
  EXPECT_EQ(Behind("symmetric-sequential").survey().udp.allocation_step, 1);
  EXPECT_EQ(Behind("symmetric-step-2").survey().udp.allocation_step, 2);
}

TEST(Survey, BlockedUdpIsToldFromNoNetwork) {
  Behind blocked("udp-blocked");
  const auto report = blocked.survey();
  EXPECT_EQ(report.udp.is_blocked, true);
  EXPECT_EQ(report.tcp.is_blocked, false);
  EXPECT_EQ(advise(report).verdict, Verdict::udp_blocked);
  EXPECT_LT(report.took, 2s);
  Behind offline("port-restricted");
  offline.net.partition({offline.host}, {&offline.far});
  const auto nothing = offline.survey();
  EXPECT_EQ(nothing.udp.is_blocked, std::nullopt);
  EXPECT_EQ(nothing.tcp.is_blocked, std::nullopt);
  EXPECT_EQ(advise(nothing).verdict, Verdict::offline);
  EXPECT_LT(nothing.took, 2s);
}

TEST(Survey, TwoNatsAreAsHardAsTheHarder) {
  Behind behind("symmetric", true);
  const auto report = behind.survey();
  EXPECT_EQ(report.udp.mapping, address_and_port_dependent);
  EXPECT_EQ(report.udp.mapped->ip, IpAddress::parse(kOutside).value());
}

TEST(Survey, AServerWithOneAddressLeavesUnknownWhatItCannotShow) {
  Behind behind("port-restricted");
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
    Behind behind(kind);
    behind.serve({at("192.0.2.1", 3478), at("192.0.2.2", 4000)});
    SurveyConfig config;
    config.servers = {at("192.0.2.1", 3478), at("192.0.2.2", 4000)};
    const auto report =
        std::get<0>(behind.world.run(Behind::run_survey(*behind.host, config))).value();
    EXPECT_EQ(report.udp.mapping_varies, kind == std::string_view("symmetric"));
  }
}

TEST(Survey, ADeadServerDoesNotHoldUpALivingOne) {
  Behind behind("port-restricted");
  SurveyConfig config;
  config.servers = {at("192.0.2.77", 3478), at("192.0.2.1", 3478)};
  const auto report =
      std::get<0>(behind.world.run(Behind::run_survey(*behind.host, config))).value();
  EXPECT_EQ(report.server, at("192.0.2.1", 3478));
  EXPECT_EQ(report.udp.filtering, address_and_port_dependent);
  EXPECT_LT(report.took, 2s);
}

TEST(Survey, ALossyPathChangesNoVerdict) {
  for (std::uint64_t seed : sim::seeds(20)) {
    SCOPED_TRACE(sim::seed_trace(seed));
    Behind behind("restricted-cone");
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

TEST(Survey, AServerThatCannotSendFromItsOtherAddressProvesNoFilter) {
  for (const auto& ports : {std::vector<std::uint16_t>{3478, 3479}, {3478}}) {
    Behind behind("full-cone");
    move_to_a_cloud(behind, ports);
    SurveyConfig config;
    config.servers = {at("192.0.2.9", 3478)};
    const auto report =
        std::get<0>(behind.world.run(Behind::run_survey(*behind.host, config))).value();
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
  Behind behind("short-lived");
  const auto [range] = behind.world.run(measure(*behind.host, LifetimeConfig()));
  EXPECT_EQ(*range, (LifetimeRange{15s, 25s}));
  Behind usual("port-restricted");
  const auto start = usual.world.now();
  const auto [two_minutes] = usual.world.run(measure(*usual.host, LifetimeConfig()));
  EXPECT_EQ(*two_minutes, (LifetimeRange{95s, 125s}));
  EXPECT_LT(usual.world.now() - start, 310s);
}

TEST(Lifetime, ADeadServerSaysNothing) {
  Behind behind("short-lived");
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
  Behind behind("port-restricted");
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

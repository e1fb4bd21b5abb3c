#include "nat/behaviour/discovery.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace pyrsia::nat {
namespace {

using enum Dependence;
using Try = nat::Test;

Endpoint at(const char* ip, std::uint16_t port) {
  return {IpAddress::parse(ip).value(), port};
}

const Endpoint kServer = at("192.0.2.1", 3478);
const Endpoint kOther = at("192.0.2.2", 3479);
const Endpoint kMapped = at("203.0.113.7", 40000);

/// What a server with two addresses says to somebody behind a full cone.
TestAnswer answer_of_full_cone(const Try& test) {
  TestAnswer answer;
  answer.has_answer = test.kind == Try::Kind::ask;
  answer.local_port = 1000;
  answer.response.mapped = kMapped;
  answer.response.other = kOther;
  return answer;
}

UdpBehaviour discover(const std::function<TestAnswer(const Try&)>& answer) {
  Discovery discovery({kServer}, {at("192.168.1.2", 0).ip});
  for (auto tests = discovery.next_round(); !tests.empty(); tests = discovery.next_round())
    for (const auto& test : tests) discovery.take(test, answer(test));
  return discovery.behaviour();
}

TEST(Discovery, SeesAFullCone) {
  const auto behaviour = discover(answer_of_full_cone);
  EXPECT_EQ(behaviour.mapping, endpoint_independent);
  EXPECT_EQ(behaviour.filtering, endpoint_independent);
  EXPECT_EQ(behaviour.passes_fragments, true);
}

TEST(Discovery, AServerThatKnowsNoPaddingSaysNothingOfFragments) {
  const auto behaviour = discover([](const Try& test) {
    auto answer = answer_of_full_cone(test);
    if (test.padding > 0) answer.response.error = 420;
    return answer;
  });
  EXPECT_EQ(behaviour.passes_fragments, std::nullopt);
  EXPECT_EQ(behaviour.mapping, endpoint_independent);
}

TEST(Discovery, SilenceToAPaddedRequestIsFragmentsThatDoNotPass) {
  const auto behaviour = discover([](const Try& test) {
    auto answer = answer_of_full_cone(test);
    answer.has_answer = answer.has_answer && test.padding == 0;
    return answer;
  });
  EXPECT_EQ(behaviour.passes_fragments, false);
}

TEST(Discovery, AnOtherAddressThatNeverSpeaksProvesNoFilter) {
  for (const bool is_other_port_heard : {true, false}) {
    const auto behaviour = discover([&](const Try& test) {
      auto answer = answer_of_full_cone(test);
      const bool is_other_port = test.server.port != kServer.port || test.change.port;
      if (test.server.ip != kServer.ip || test.change.ip) answer.has_answer = false;
      if (is_other_port && !is_other_port_heard) answer.has_answer = false;
      return answer;
    });
    EXPECT_EQ(behaviour.mapping, std::nullopt);
    EXPECT_EQ(behaviour.filtering, std::nullopt);
  }
}

TEST(Discovery, AFilterIsKnownWhereTheOtherAddressIsHeardOnceAsked) {
  const auto behaviour = discover([](const Try& test) {
    auto answer = answer_of_full_cone(test);
    const bool is_unasked = test.number == 0 && (test.change.ip || test.change.port);
    if (is_unasked) answer.has_answer = false;
    return answer;
  });
  EXPECT_EQ(behaviour.filtering, address_and_port_dependent);
}

TEST(Discovery, GoesToTheOtherAddressThroughTheNat64) {
  const Nat64Prefix prefix{at("64:ff9b::", 0).ip, 96};
  Discovery discovery({through(prefix, kServer)}, {at("2001:db8::2", 0).ip}, prefix);
  for (auto tests = discovery.next_round(); !tests.empty(); tests = discovery.next_round())
    for (const auto& test : tests) discovery.take(test, answer_of_full_cone(test));
  EXPECT_EQ(discovery.other(), through(prefix, kOther));
  EXPECT_EQ(discovery.behaviour().mapping, endpoint_independent);
  EXPECT_EQ(discovery.behaviour().has_nat, true);
}

/// As a server that sends people on: "300 Try Alternate".
TestAnswer moved(const Endpoint& to) {
  TestAnswer answer;
  answer.has_answer = true;
  answer.response.error = 300;
  answer.response.alternate_server = to;
  return answer;
}

TEST(Discovery, NoServerOfTheInternetHasUsSendIntoOurNetwork) {
  for (const char* near : {"192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "224.0.0.1"}) {
    const auto behaviour = discover([&](const Try& test) {
      EXPECT_NE(test.server.ip, at(near, 0).ip);
      auto answer = answer_of_full_cone(test);
      answer.response.other = at(near, 3479);
      answer.response.mapped = at(near, 40000);
      return answer;
    });
    EXPECT_EQ(behaviour.mapping, std::nullopt) << near;
    EXPECT_EQ(behaviour.has_hairpin, std::nullopt) << near;
  }
}

TEST(Discovery, AServerOfOurNetworkMayNameAnotherAddressOfIt) {
  Discovery discovery({at("192.168.1.1", 3478)}, {at("192.168.1.9", 0).ip});
  for (auto tests = discovery.next_round(); !tests.empty(); tests = discovery.next_round()) {
    for (const auto& test : tests) {
      auto answer = answer_of_full_cone(test);
      answer.response.other = at("192.168.1.2", 3479);
      discovery.take(test, answer);
    }
  }
  EXPECT_EQ(discovery.other(), at("192.168.1.2", 3479));
}

TEST(Discovery, BehindANat64AServerIsJudgedByItsIpv4Address) {
  const Nat64Prefix prefix{at("2001:db8:64::", 0).ip, 96};
  for (const auto& [server, may] : {std::pair("9.9.9.9", false), std::pair("10.0.0.9", true)}) {
    Discovery discovery({through(prefix, at(server, 3478))}, {at("2001:db8::2", 0).ip}, prefix);
    for (auto tests = discovery.next_round(); !tests.empty(); tests = discovery.next_round()) {
      for (const auto& test : tests) {
        auto answer = answer_of_full_cone(test);
        answer.response.other = at("10.0.0.2", 3479);
        discovery.take(test, answer);
      }
    }
    EXPECT_EQ(discovery.other().has_value(), may) << server;
  }
}

TEST(Discovery, GoesWhereAServerSendsIt) {
  const auto named = at("192.0.2.77", 3478);
  Discovery discovery({named}, {at("192.168.1.2", 0).ip});
  for (auto tests = discovery.next_round(); !tests.empty(); tests = discovery.next_round())
    for (const auto& test : tests)
      discovery.take(test, test.server == named ? moved(kServer) : answer_of_full_cone(test));
  EXPECT_EQ(discovery.server(), kServer);
  EXPECT_EQ(discovery.behaviour().filtering, endpoint_independent);
}

TEST(Discovery, IsNotSentInCirclesNorForEver) {
  int asked = 0;
  const auto in_circles = discover([&](const Try& test) {
    ++asked;
    return moved(test.server == kServer ? kOther : kServer);
  });
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(in_circles.is_blocked, std::nullopt);
  asked = 0;
  discover([&](const Try& test) {
    ++asked;
    return moved({test.server.ip, static_cast<std::uint16_t>(test.server.port + 1)});
  });
  EXPECT_EQ(asked, 1 + stun::Client::kMaxMoves);
  asked = 0;
  discover([&](const Try&) {
    ++asked;
    return moved(at("2001:db8::1", 3478));
  });
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace pyrsia::nat

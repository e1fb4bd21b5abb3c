#include "nat/behaviour/discovery.hpp"

#include "nat/stun/named_address.hpp"

#include <algorithm>

namespace pyrsia::nat {
namespace {

/// Enough to be sure whether a mapping differs by address. Our limit.
constexpr std::size_t kMaxServers = 8;
constexpr int kRounds = 4;
/// The socket of the filter test, and the one that asks again once the way is open.
constexpr std::size_t kFirstTry = 0;
constexpr std::size_t kSecondTry = 1;

/// Whether we send to where `server` points; through a NAT64 that is judged by what is behind it.
bool may_go_to(Endpoint named, const Endpoint& server, const std::optional<Nat64Prefix>& nat64) {
  if (!nat64) return stun::may_be_named(named, server.ip);
  named.ip = behind(*nat64, named.ip);
  return stun::may_be_named(named, behind(*nat64, server.ip));
}

}  // namespace

std::optional<Endpoint> other_address_of(const stun::Response& response, const Endpoint& server,
                                         const std::optional<Nat64Prefix>& nat64) {
  auto other = response.other;
  if (other && nat64) other = through(*nat64, *other);
  if (!other || other->ip == server.ip || other->port == server.port) return std::nullopt;
  if (other->ip.is_v6() != server.ip.is_v6() || !may_go_to(*other, server, nat64))
    return std::nullopt;
  return other;
}

Discovery::Discovery(std::vector<Endpoint> servers, std::vector<IpAddress> own,
                     std::optional<Nat64Prefix> nat64)
    : servers_(std::move(servers)), own_(std::move(own)), nat64_(nat64) {
  if (servers_.size() > kMaxServers) servers_.resize(kMaxServers);
  for (const auto& server : servers_) moves_.emplace_back(server);
}

std::vector<Test> Discovery::next_round() {
  if (is_first_round()) {
    auto tests = follow_moves();
    if (!tests.empty()) return tests;
  }
  while (round_ < kRounds) {
    auto tests = tests_of(round_++);
    if (!tests.empty()) return tests;
  }
  judge_filtering();
  return {};
}

std::vector<Test> Discovery::tests_of(int round) {
  switch (round) {
    case 0: return ask_everybody();
    case 1: return try_everything();
    case 2: return check_and_hairpin();
    default: return check_filter_path();
  }
}

void Discovery::take(const Test& test, const TestAnswer& answer) {
  answers_.insert_or_assign(test, answer);
}

const TestAnswer* Discovery::answer_to(const Test& test) const {
  const auto found = answers_.find(test);
  return found == answers_.end() || !found->second.has_answer ? nullptr : &found->second;
}

/// It was answered, and not by an error.
bool Discovery::heard(const Test& test) const {
  const auto* answer = answer_to(test);
  return answer != nullptr && !answer->response.error;
}

Test Discovery::mapping_test(const Endpoint& server) const {
  Test test;
  test.server = server;
  return test;
}

Test Discovery::filter_test(bool ip, bool port, std::size_t number) const {
  Test test;
  test.role = Role::filtering;
  test.number = number;
  test.server = *server_;
  test.change = {ip, port};
  return test;
}

std::optional<Endpoint> Discovery::mapped_towards(const Endpoint& server) const {
  const auto test = mapping_test(server);
  if (!heard(test)) return std::nullopt;
  return answer_to(test)->response.mapped;
}

// Round 1: is there anybody, and who has two addresses?
std::vector<Test> Discovery::ask_everybody() {
  std::vector<Test> tests;
  for (const auto& server : servers_) tests.push_back(mapping_test(server));
  return tests;
}

/// Who sends us to an ALTERNATE-SERVER is replaced by it: still round 1.
std::vector<Test> Discovery::follow_moves() {
  std::vector<Test> tests;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const auto* answer = answer_to(mapping_test(servers_[i]));
    if (answer == nullptr || !answer->response.error) continue;
    const auto to = moves_[i].next(answer->response);
    if (!to || std::ranges::find(servers_, *to) != servers_.end()) continue;
    servers_[i] = *to;
    tests.push_back(mapping_test(*to));
  }
  return tests;
}

void Discovery::choose_server() {
  for (const auto& server : servers_) {
    if (!mapped_towards(server)) continue;
    const auto& response = answer_to(mapping_test(server))->response;
    const auto other = other_address_of(response, server, nat64_);
    if (server_ && !other) continue;
    server_ = server;
    behaviour_.round_trip = response.round_trip;
    other_ = other;
    if (other) return;
  }
}

// Round 2: all that needs no more than a server.
std::vector<Test> Discovery::try_everything() {
  choose_server();
  if (!server_) return {};
  behaviour_.is_blocked = false;
  behaviour_.mapped = mapped_towards(*server_);
  const auto local_port = answer_to(mapping_test(*server_))->local_port;
  behaviour_.has_nat = behaviour_.mapped->port != local_port ||
                       std::ranges::find(own_, behaviour_.mapped->ip) == own_.end();
  std::vector<Test> tests;
  for (std::size_t i = 0; i < kPortSockets; ++i) {
    Test test;
    test.role = Role::port;
    test.number = i;
    test.server = *server_;
    tests.push_back(test);
  }
  if (!other_) return tests;
  tests.push_back(mapping_test({server_->ip, other_->port}));
  tests.push_back(mapping_test({other_->ip, server_->port}));
  tests.push_back(mapping_test(*other_));
  tests.push_back(filter_test(true, true, kFirstTry));
  tests.push_back(filter_test(false, true, kFirstTry));
  auto padded = mapping_test(*server_);
  padded.padding = kFragmentedPadding;
  tests.push_back(padded);
  return tests;
}

void Discovery::judge_mapping() {
  std::optional<bool> varies;
  for (const auto& server : servers_) {
    const auto mapped = mapped_towards(server);
    if (!mapped || server == *server_) continue;
    if (mapped != behaviour_.mapped) varies = true;
    // What two ports of one address see alike may still depend on the address.
    if (!varies && server.ip != server_->ip) varies = false;
  }
  if (other_) {
    const auto port = mapped_towards({server_->ip, other_->port});
    const auto ip = mapped_towards({other_->ip, server_->port});
    const auto both = mapped_towards(*other_);
    if (port && both) {
      using enum Dependence;
      const bool same = port == behaviour_.mapped;
      // By address only: one mapping for each address, whatever the port.
      const bool same_there = ip ? ip == both : same;
      if (both == behaviour_.mapped && same) {
        behaviour_.mapping = endpoint_independent;
      } else {
        behaviour_.mapping = same && same_there ? address_dependent : address_and_port_dependent;
      }
      varies = behaviour_.mapping != endpoint_independent;
    }
  }
  behaviour_.mapping_varies = varies;
}

void Discovery::judge_allocation() {
  if (behaviour_.has_nat != true) return;
  std::vector<PortSample> samples;
  for (std::size_t i = 0; i < kPortSockets; ++i) {
    Test test;
    test.role = Role::port;
    test.number = i;
    test.server = *server_;
    if (heard(test)) {
      const auto* answer = answer_to(test);
      samples.push_back({answer->local_port, answer->response.mapped.port});
    }
  }
  const auto finding = allocation_of(samples);
  if (!finding) return;
  behaviour_.allocation = finding->allocation;
  if (finding->allocation == Allocation::sequential) behaviour_.allocation_step = finding->step;
}

void Discovery::judge_fragments() {
  if (!other_) return;
  auto padded = mapping_test(*server_);
  padded.padding = kFragmentedPadding;
  const auto* answer = answer_to(padded);
  // A refusal, of a server that knows no PADDING, says nothing of what passes.
  if (answer != nullptr && answer->response.error) return;
  behaviour_.passes_fragments = answer != nullptr;
}

// Round 3: hairpin, and the way from the other address once the filter is open for it.
std::vector<Test> Discovery::check_and_hairpin() {
  if (!server_) return {};
  judge_mapping();
  judge_allocation();
  judge_fragments();
  std::vector<Test> tests;
  Test port;
  port.role = Role::port;
  port.server = *server_;
  if (behaviour_.has_nat == true && heard(port)) {
    Test hairpin = port;
    hairpin.kind = Test::Kind::hairpin;
    hairpin.server = answer_to(port)->response.mapped;
    const bool may_try = may_go_to(hairpin.server, *server_, nat64_) &&
                         may_go_to(*behaviour_.mapped, *server_, nat64_);
    if (may_try) tests.push_back(hairpin);
  }
  const bool is_closed = other_ && !heard(filter_test(true, true, kFirstTry));
  if (is_closed && behaviour_.mapping == Dependence::endpoint_independent) {
    Test open = filter_test(false, false, kSecondTry);
    open.server = *other_;
    tests.push_back(open);
  }
  return tests;
}

// Round 4: who is let in now must arrive, or the server cannot send from its other address and the
// silence before said nothing about our filter.
std::vector<Test> Discovery::check_filter_path() {
  for (const auto& [test, answer] : answers_)
    if (test.kind == Test::Kind::hairpin) behaviour_.has_hairpin = answer.has_answer;
  if (!server_ || !other_) return {};
  Test open = filter_test(false, false, kSecondTry);
  open.server = *other_;
  if (!heard(open)) return {};
  return {filter_test(true, true, kSecondTry)};
}

void Discovery::judge_filtering() {
  if (!server_ || !other_) return;
  using enum Dependence;
  const auto refused = [&](const Test& test) {
    const auto* answer = answer_to(test);
    return answer != nullptr && answer->response.error;
  };
  const auto both = filter_test(true, true, kFirstTry);
  const auto port = filter_test(false, true, kFirstTry);
  if (heard(both)) {
    behaviour_.filtering = endpoint_independent;
    return;
  }
  if (refused(both) || refused(port)) return;
  // Without a word from the other address its silence is not our filter's doing: it may be dead,
  // or none that can be reached from here. A mapping is only known where it has answered.
  if (!behaviour_.mapping) return;
  const bool is_checked = heard(filter_test(true, true, kSecondTry));
  const bool can_be_checked = behaviour_.mapping == endpoint_independent;
  if (can_be_checked && !is_checked) return;
  behaviour_.filtering = heard(port) ? address_dependent : address_and_port_dependent;
}

}  // namespace pyrsia::nat

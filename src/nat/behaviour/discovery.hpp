#pragma once

#include "nat/behaviour/behaviour.hpp"
#include "nat/behaviour/nat64.hpp"
#include "nat/stun/moves.hpp"

#include <map>
#include <optional>
#include <vector>

namespace pyrsia::nat {

/// Which socket a test uses. Each has a history of its own: a filter that was opened by one test
/// must not help another.
enum class Role {
  mapping,    ///< Asks every address of the server.
  filtering,  ///< Never sends to the server's other address before the answers are in.
  port,       ///< Several, for the order of ports; see Test::number.
};

/// One thing to try.
struct Test {
  enum class Kind {
    ask,      ///< One Binding transaction.
    hairpin,  ///< `number` sends to `server`, the outer endpoint of the mapping socket.
  };
  Kind kind = Kind::ask;
  Role role = Role::mapping;
  std::size_t number = 0;
  Endpoint server;
  stun::ChangeRequest change;
  std::size_t padding = 0;

  auto key() const {
    return std::tuple(kind, role, number, server, change.ip, change.port, padding);
  }
  bool operator<(const Test& other) const { return key() < other.key(); }
};

/// What came of it: for a hairpin test, whether anything arrived.
struct TestAnswer {
  bool has_answer = false;
  std::uint16_t local_port = 0;
  stun::Response response;
};

/// Finds out how the NATs between here and STUN servers behave, in rounds: all tests of a round may
/// run at the same time, the next round depends on what they gave. A plain state machine: who runs
/// it is flow `discover()`. Spec: RFC 5780, 4.
class Discovery {
 public:
  /// How many sockets show in which order ports are given out. Random ones of half as many keep
  /// parity once in 256 probes.
  static constexpr std::size_t kPortSockets = 16;
  /// The size of a datagram that no path of 1500 bytes carries in one piece.
  static constexpr std::size_t kFragmentedPadding = 1600;

  /// `own`: the addresses of our interfaces: who is seen at one of them is behind no NAT.
  /// `nat64`: what the servers, which have IPv4, are reached through.
  Discovery(std::vector<Endpoint> servers, std::vector<IpAddress> own,
            std::optional<Nat64Prefix> nat64 = std::nullopt);

  /// The tests of the next round; none: all is found out. Take every answer before asking again.
  std::vector<Test> next_round();
  void take(const Test& test, const TestAnswer& answer);
  /// What is known so far.
  const UdpBehaviour& behaviour() const { return behaviour_; }
  /// The server that the tests went to, and its other address.
  std::optional<Endpoint> server() const { return server_; }
  std::optional<Endpoint> other() const { return other_; }
  bool is_first_round() const { return round_ <= 1; }

 private:
  std::vector<Test> tests_of(int round);
  std::vector<Test> ask_everybody();
  std::vector<Test> follow_moves();
  std::vector<Test> try_everything();
  std::vector<Test> check_and_hairpin();
  std::vector<Test> check_filter_path();
  void choose_server();
  void judge_mapping();
  void judge_filtering();
  void judge_allocation();
  void judge_fragments();
  const TestAnswer* answer_to(const Test& test) const;
  bool heard(const Test& test) const;
  std::optional<Endpoint> mapped_towards(const Endpoint& server) const;
  Test mapping_test(const Endpoint& server) const;
  Test filter_test(bool ip, bool port, std::size_t number) const;

  std::vector<Endpoint> servers_;
  std::vector<stun::Moves> moves_;  ///< Of each server.
  std::vector<IpAddress> own_;
  std::optional<Nat64Prefix> nat64_;
  int round_ = 0;
  std::optional<Endpoint> server_;
  std::optional<Endpoint> other_;
  std::map<Test, TestAnswer> answers_;
  UdpBehaviour behaviour_;
};

/// Where `server` says that its other address is, if that can be: another IP and another port of
/// the same family. Through a NAT64 a server tells its IPv4 address.
std::optional<Endpoint> other_address_of(const stun::Response& response, const Endpoint& server,
                                         const std::optional<Nat64Prefix>& nat64);

}  // namespace pyrsia::nat

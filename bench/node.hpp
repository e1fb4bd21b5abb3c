#pragma once

#include "multi/address_class.hpp"
#include "protocols/autonat/server.hpp"
#include "protocols/autonat_v2/server.hpp"
#include "protocols/identify/identifier.hpp"
#include "runtime/real_env.hpp"
#include "swarm/swarm.hpp"

#include <array>
#include <optional>

namespace pyrsia::bench {

/// Read to its end; then the count of the bytes comes back, 8 bytes, little endian.
inline constexpr std::string_view kSink = "/pyrsia-bench/sink/1.0.0";
/// Told a number of milliseconds, 8 bytes, little endian, it writes one byte, and then for so long,
/// once at the least.
inline constexpr std::string_view kSource = "/pyrsia-bench/source/1.0.0";
/// Answers with a line of numbers about the process, after it has given back what it can:
/// "cpu=SECONDS rss=BYTES identified=PEERS".
inline constexpr std::string_view kStats = "/pyrsia-bench/stats/1.0.0";

/// A host with the real services and no limits of policy: TCP, QUIC, identify, AutoNAT v1 and v2.
class Node final : private identify::Observer, private autonat::Observer {
 public:
  Node(Env& env, const std::string& security);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Serves identify, and what a server of a benchmark serves too. Call it once.
  void start(bool is_server);
  Task<> stop();
  /// A connection to `address`, which ends in /p2p, once identify has told who is there.
  /// Errors: those of Swarm::connect(), `Errc::timed_out`.
  Task<swarm::ConnectionInfo> connect(Multiaddr address);
  /// The same, and it has been told who we are. Not for several at once.
  Task<swarm::ConnectionInfo> connect_both_ways(Multiaddr address);

  Env& env() { return swarm_.env(); }
  swarm::Swarm& swarm() { return swarm_; }

 private:
  void on_identified(const swarm::ConnectionInfo& connection, const identify::Info& info) override;
  void on_identify_failed(const swarm::ConnectionInfo& connection, Error error) override;
  Task<> until_identified(swarm::ConnectionId connection);
  Task<> until_answered(std::uint64_t count);
  Task<> sink(swarm::IncomingStream incoming);
  Task<> source(swarm::IncomingStream incoming);
  Task<> stats(swarm::IncomingStream incoming);

  AddressClassifier classifier_;
  LogSink silence_;
  swarm::Swarm swarm_;
  identify::Identifier identifier_;
  autonat::Server autonat_;
  autonat_v2::Observer nobody_;
  autonat_v2::Dialer dialer_;
  autonat_v2::sibling::Siblings siblings_;  ///< None.
  autonat_v2::Server autonat2_;
  swarm::ConnectionId identified_ = 0;  ///< The last one.
  Event changed_;
};

/// 8 bytes, little endian: how the counts and times of the protocols above are written.
using Number = std::array<std::uint8_t, 8>;
Number to_number(std::uint64_t value);
std::uint64_t from_number(const Number& bytes);

/// Listens on `address` and serves until the program is ended.
Task<> serve(Node& node, Multiaddr address);

}  // namespace pyrsia::bench

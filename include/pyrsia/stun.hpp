/// STUN (RFC 8489) for programs of their own: where am I seen from, and a server that says so.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/runtime.hpp>
#include <pyrsia/task.hpp>
#include <pyrsia/time.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia {

struct StunAnswer {
  Endpoint mapped;  ///< Where the server saw the request come from.
  /// Its other address, if it names one that may be gone to: no server of the Internet names an
  /// address of the local network. RFC 5780.
  std::optional<Endpoint> other;
  Duration round_trip{0};
};

/// Asks `server` once over UDP, from a socket of its own. Retransmits at 0, 100, 300 and 700 ms and
/// gives up after 1.1 s; follows ALTERNATE-SERVER. Errors: `Errc::timed_out`, `Errc::refused` (an
/// error response), `Errc::unreachable`, `Errc::protocol_violation`, `Errc::network_failed`,
/// `Errc::cancelled`: may be cancelled at any time.
Task<StunAnswer> stun_query(Runtime& runtime, Endpoint server);

/// Of the long-term mechanism (RFC 8489, 9.2), as they are used: preparing them (RFC 8265) is the
/// caller's part. The user name has at most 508 bytes.
struct StunCredentials {
  std::string username;
  std::string password;
};

/// The same of a server that may demand credentials: they are told only then, the password never,
/// and an answer counts only if it is by who knows the password. Errors: also
/// `Errc::bad_signature` (no answer was); `Errc::refused` also where the server takes no such user.
Task<StunAnswer> stun_query(Runtime& runtime, Endpoint server, StunCredentials credentials);

struct StunServerConfig {
  /// Port 0: any. Two ports of one address, and the same two of a second one, make a server that
  /// clients can learn their NAT's behaviour from (RFC 5780).
  std::vector<Endpoint> udp;
  std::vector<Endpoint> tcp;
  /// Requests a second that one IPv4 address or IPv6 /64 may make, after twice as many, or 48, at
  /// once. 0: any number.
  std::uint32_t per_source_per_second = 200;
};

/// A STUN server. Lives on the thread of its runtime.
class StunServer {
 public:
  StunServer(Runtime& runtime, StunServerConfig config);
  ~StunServer();  ///< Aborts the program if the server was started and not stopped.
  StunServer(const StunServer&) = delete;
  StunServer& operator=(const StunServer&) = delete;

  /// Errors: `Errc::address_in_use`, `Errc::permission_denied`, `Errc::invalid_argument` (not an
  /// address of this machine); `detail`, if given, says which endpoint.
  Result<> start(std::string* detail);
  /// Errors: none.
  Task<> stop();

  std::vector<Endpoint> udp_endpoints() const;
  std::vector<Endpoint> tcp_endpoints() const;
  /// By name, as in "pyrsia_stun_answered_total".
  std::map<std::string, std::uint64_t> counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pyrsia

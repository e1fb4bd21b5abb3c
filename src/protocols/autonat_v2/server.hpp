/// The AutoNAT v2 server: tells whoever asks whether one address of theirs can be reached.
/// Spec: libp2p/specs, autonat/autonat-v2.md.
#pragma once

#include "protocols/autonat_v2/dialer.hpp"
#include "protocols/autonat_v2/probe.hpp"
#include "protocols/autonat_v2/sibling/siblings.hpp"
#include "swarm/swarm.hpp"
#include "swarm/throttle.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <unordered_map>
#include <vector>

namespace pyrsia::autonat_v2 {

struct ServerConfig {
  /// Of all requests: go's numbers, and a limit for an IP. Empty: no limit.
  std::vector<swarm::ThrottleWindow> throttle = {{std::chrono::minutes(1), 60, 12, 24}};
  /// Of those that need dial data: go's number in all, so shared that no peer takes it all.
  std::vector<swarm::ThrottleWindow> dial_data_throttle = {{std::chrono::minutes(1), 12, 4, 6}};
  /// Of dials that are made once more, as the client's pings were late: they cost us and the
  /// siblings twice. Over it a request is rejected.
  std::vector<swarm::ThrottleWindow> hurry_throttle = {{std::chrono::minutes(1), 24, 6, 12}};
  std::size_t max_requests_of_one_peer = 2;               ///< At once, as go.
  Duration request_timeout = std::chrono::seconds(10);    ///< To receive a request.
  Duration dial_data_timeout = std::chrono::seconds(10);  ///< To receive all of the dial data.
  Duration answer_timeout = std::chrono::seconds(5);      ///< To hand over the answer.
  /// Before a dial that dial data was asked for: up to this, at random, so that many requests for
  /// one victim do not hit it at one moment. As go.
  Duration max_dial_wait = std::chrono::seconds(3);
};

struct ServerMetrics {
  Counter requests;
  Counter rejected;  ///< Over a limit, or too large.
  Counter refused;   ///< No address that we could dial.
  Counter malformed;
  Counter dial_data_asked;
  Counter dial_data_failed;  ///< Of these: not paid.
  Counter reached;
  Counter not_reached;
  Counter dial_back_errors;
  Counter failed;  ///< We could not try, or the client did not wait.
  Counter dials_by_sibling;
  Counter dials_by_us;
  /// Of our own dials: made though there are siblings, as none could help. Behind an
  /// address-restricted NAT these say "reachable".
  Counter dials_without_sibling;
  /// Failures that say nothing, as the client's pings were late as well: dialed once more.
  Counter dials_in_a_hurry;
};

/// Owned by the host. All arguments must outlive it; the swarm must be stopped before it is
/// destroyed. Its tasks are the swarm's.
class Server {
 public:
  Server(swarm::Swarm& swarm, const ServerConfig& config, Dialer& dialer,
         sibling::Siblings& siblings, Observer& observer, Logger log);

  /// Begins to serve. Call it once.
  void start();

  const ServerMetrics& metrics() const { return metrics_; }

 private:
  class Ongoing;
  /// What to dial, and where it stands in the request.
  struct Choice {
    std::uint32_t index = 0;
    Multiaddr address;
    bool needs_dial_data = false;
  };

  Task<> serve(swarm::IncomingStream incoming);
  Task<> serve_request(Stream& stream, swarm::ConnectionInfo client, DialRequest request);
  Task<> serve_choice(Stream& stream, swarm::ConnectionInfo client, Choice choice,
                      std::uint64_t nonce);
  /// Takes the dial data, and waits a little. Errors: those of collect_dial_data();
  /// `Errc::timed_out`.
  Task<> be_paid(Stream& stream, Choice choice);
  /// A failure counts if a ping to the client, sent with the dial, has come back as it should.
  Task<DialStatus> dial_back(swarm::ConnectionInfo client, Multiaddr address, std::uint64_t nonce);
  Task<DialStatus> dial_within(swarm::ConnectionInfo client, Multiaddr address, std::uint64_t nonce,
                               Duration round_trip);
  Duration round_trip_to(const swarm::ConnectionInfo& client) const;
  Task<> answer(Stream& stream, DialResponse response);
  Task<> refuse(Stream& stream, PeerId client, ResponseStatus status, std::string why);

  bool is_within_limits(const swarm::ConnectionInfo& client);
  std::optional<Choice> choose(const swarm::ConnectionInfo& client,
                               const DialRequest& request) const;
  void report(const PeerId& client, const Multiaddr& address, const DialResponse& response);

  swarm::Swarm& swarm_;
  Env& env_;
  ServerConfig config_;
  Dialer& dialer_;
  sibling::Siblings& siblings_;
  Observer& observer_;
  Logger log_;
  ServerMetrics metrics_;
  swarm::Throttle throttle_;
  swarm::Throttle dial_data_throttle_;
  swarm::Throttle hurry_throttle_;
  std::unordered_map<PeerId, std::size_t> ongoing_;
};

}  // namespace pyrsia::autonat_v2

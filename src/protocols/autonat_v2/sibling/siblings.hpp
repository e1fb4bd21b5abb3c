/// Boot servers of one cluster, which dial back for each other: from the IP of one that a client
/// has not written to, an address-restricted NAT lets nobody in.
/// Spec: docs/adr/0017-dial-backs-by-siblings.md, 0039-the-failure-of-one-sibling.md.
#pragma once

#include "protocols/autonat_v2/dialer.hpp"
#include "protocols/autonat_v2/sibling/health.hpp"
#include "protocols/autonat_v2/sibling/wire.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"
#include "swarm/throttle.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <map>
#include <optional>
#include <vector>

namespace pyrsia::autonat_v2::sibling {

struct Config {
  /// Each with /p2p. Both sides must list each other.
  std::vector<Multiaddr> peers;
  /// Addresses under which others see us though we do not: no sibling at one of these IPs helps.
  std::vector<Multiaddr> own_addresses;
  Duration receive_timeout = std::chrono::seconds(5);  ///< To receive a request, to hand over one.
  /// One request of ours: a dial-back and the way there.
  Duration request_timeout = std::chrono::seconds(13);
  Duration rest = std::chrono::minutes(1);  ///< Of one that did not answer.
  Duration connect_timeout = std::chrono::seconds(10);
  Duration check_interval = std::chrono::seconds(10);  ///< Of the connections to all of them.
  /// Of a sibling's dial that has not ended after this and a round trip to the client, we see
  /// whether we reach the client ourselves. An open one has answered by then.
  Duration own_dial_after = std::chrono::milliseconds(350);
  /// Of siblings: what they ask of us. As much as a server serves clients, for a few siblings.
  std::vector<swarm::ThrottleWindow> throttle = {{std::chrono::minutes(1), 240, 60, 240}};
  /// Of the addresses dialed, whichever sibling asks; counted by IP.
  std::vector<swarm::ThrottleWindow> target_throttle = {{std::chrono::minutes(1), 240, 24, 48}};
};

struct Metrics {
  Counter asked;          ///< Of us.
  Counter helped;         ///< Of these: dialed.
  Counter rejected;       ///< Of these: over a limit, malformed, or not to be dialed.
  Counter known_clients;  ///< Of these: clients that are connected to us.
  Counter requests;       ///< Of ours.
  Counter failed;         ///< Of these: no answer.
  Counter checks;         ///< Dials to us that we asked for, to see whether a sibling can dial.
  Counter doubted;        ///< Of the requests: failures that say nothing, as we reached the client.
};

/// What became of a dial-back.
struct Helped {
  DialStatus status = DialStatus::unused;
  bool is_by_us = false;  ///< The sibling's failure said nothing, so we have handed the nonce over.
};

/// Owned by the host. `swarm` and `dialer` must outlive it.
class Siblings final : private swarm::Observer {
 public:
  Siblings(swarm::Swarm& swarm, const Config& config, Dialer& dialer, Logger log);
  ~Siblings() override;

  /// Begins to serve them, if there are any, and to stay connected to them. Call it once.
  void start();
  /// Errors: none.
  Task<> stop();

  bool is_empty() const { return siblings_.empty(); }
  /// Has a client dialed back by a sibling at another IP than ours, as the client sees us, that
  /// the client is not connected to. If only we reach it, its NAT keeps strangers out or the
  /// sibling cannot dial: that is found out. Errors: `Errc::unavailable` (nobody can help now),
  /// `Errc::timed_out` (a sibling may have dialed), `Errc::cancelled`.
  Task<Helped> dial_back(Request request, IpAddress own_ip);

  const Metrics& metrics() const { return metrics_; }

 private:
  struct Sibling {
    Multiaddr address;
    TimePoint rests_until{};
    Health tcp;
    Health udp;
    std::optional<TimePoint> came_by_tcp;  ///< When it last opened a connection to us.
    std::optional<TimePoint> came_by_udp;
    Health& health(bool is_udp) { return is_udp ? udp : tcp; }
    std::optional<TimePoint>& came(bool is_udp) { return is_udp ? came_by_udp : came_by_tcp; }
  };
  struct Effort;

  void on_connected(const swarm::ConnectionInfo& connection) override;

  Task<> serve(swarm::IncomingStream incoming);
  Task<Response> help(PeerId asker, Request request);
  Task<DialStatus> have_dialed(Effort& effort, IpAddress own_ip);
  Task<Response> ask(PeerId sibling, Request request);
  /// We dial beside the sibling.
  Task<> dial_beside(Effort& effort);
  /// True if the failure of this sibling's dial says that the client keeps strangers out.
  Task<bool> is_evidence(PeerId sibling, Effort& effort);
  /// Asks it to dial us, unless it has reached somebody a moment ago. It has if we have seen it
  /// come: what it says of that is not enough.
  Task<> check(PeerId sibling, bool is_udp);
  std::optional<Multiaddr> own_address(bool is_udp) const;
  Task<> stay_connected();
  Task<> connect(PeerId sibling, Multiaddr address);
  /// Those that may help with `address`, in the order in which they are to be asked.
  std::vector<PeerId> helpers(const Multiaddr& address, const IpAddress& own_ip);
  std::optional<IpAddress> public_ip(const PeerId& peer, const Sibling& sibling) const;

  swarm::Swarm& swarm_;
  Env& env_;
  Config config_;
  Dialer& dialer_;
  Logger log_;
  Metrics metrics_;
  std::map<PeerId, Sibling> siblings_;
  swarm::Throttle throttle_;
  swarm::Throttle target_throttle_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::autonat_v2::sibling

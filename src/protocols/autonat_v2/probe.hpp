/// What probes of single addresses tell those who want to know.
#pragma once

#include "protocols/autonat_v2/wire.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/ip.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/time.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pyrsia::autonat_v2 {

/// How one request of ours ended. Exactly one for each server that was asked.
struct AddressResult {
  explicit AddressResult(PeerId who) : server(std::move(who)) {}

  PeerId server;
  std::optional<IpAddress> server_ip;  ///< Where we are connected to it.
  /// The one that the server tried, without /p2p. None if it tried none that we know of.
  std::optional<Multiaddr> address;
  /// Of `address`. `unknown` is no evidence: refused, claimed without proof, the server failed or
  /// the connection was lost.
  Reachability verdict = Reachability::unknown;
  /// Where the dial-back came from, if it came.
  std::optional<IpAddress> dialed_from;
  /// With `dialed_from`: this node has sent something to that IP before, so that a NAT or firewall
  /// that lets in whoever was written to would have let it in as well.
  bool is_from_known_ip = false;
  std::optional<ResponseStatus> response_status;  ///< None: no answer.
  std::optional<DialStatus> dial_status;          ///< With ResponseStatus::ok.
  std::vector<Multiaddr> asked;                   ///< What we sent, best first, without /p2p.
  std::string reason;                             ///< In words, why the verdict is what it is.
  TimePoint at{};
};

/// Hears of probes, in the order of events. Called from tasks of the service that it observes.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A peer asked us; the same events as for AutoNAT v1.
  virtual void on_inbound_probe(const InboundProbe&) {}
  virtual void on_outbound_probe(const OutboundProbe&) {}
  /// Comes before the OutboundProbe that reports the same end.
  virtual void on_address_result(const AddressResult&) {}
};

}  // namespace pyrsia::autonat_v2

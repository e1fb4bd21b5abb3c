/// What probes tell those who want to know.
#pragma once

#include "protocols/autonat/wire.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pyrsia::autonat {

/// The server's answer to a probe of ours. There is none for a probe without an answer: a server
/// that is gone, slow or unwilling proves nothing about us.
struct ProbeResult {
  PeerId server;
  std::optional<IpAddress> server_ip;  ///< Who tells us; servers of one network count as one.
  Status status = Status::internal_error;
  std::string text;
  std::optional<Multiaddr> address;  ///< If ok: the one that was reached, without /p2p.
  std::vector<Multiaddr> asked;      ///< The addresses that we sent, without /p2p.
};

/// Hears of probes, in the order of events. Called from tasks of the service that it observes.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A peer asked us: its request means that we count as its server, as in the original.
  virtual void on_inbound_probe(const InboundProbe&) {}
  virtual void on_outbound_probe(const OutboundProbe&) {}
  /// Comes before the OutboundProbe that reports the same end.
  virtual void on_probe_result(const ProbeResult&) {}
};

}  // namespace pyrsia::autonat

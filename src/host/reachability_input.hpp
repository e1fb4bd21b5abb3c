/// All that the reachability state machine is ever told. One type for all, so that what happened
/// can be written down and told again: see reachability_record.hpp.
#pragma once

#include "host/observed_addresses.hpp"
#include "protocols/autonat/probe.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pyrsia::host {

/// An address that we might be reached at.
struct CandidateAddress {
  Multiaddr address;   ///< Without /p2p.
  std::string source;  ///< "listen", "observed", "announced", "mapped"
  std::size_t observers = 0;
  std::uint16_t local_port = 0;  ///< Of the listener behind it; 0: not known.
  bool operator==(const CandidateAddress&) const = default;
};

/// A mapping on the gateway (PCP, NAT-PMP, UPnP) has come or gone. No input of the state machine:
/// it changes what the candidates are.
struct MappingChanged {
  bool is_udp = false;
  std::uint16_t local_port = 0;
  Endpoint external;
  bool is_gained = true;
};

/// What the addresses are now; each one replaces all.
struct Candidates {
  std::vector<CandidateAddress> addresses;
};

/// An AutoNAT v1 server has answered: all addresses of a request at once.
struct ServerAnswer {
  autonat::ProbeResult result;
  bool is_boot_peer = false;  ///< For the reason only.
};

/// What an AutoNAT v2 server found out about one address.
struct DialBack {
  enum class Outcome {
    reached,      ///< Our nonce arrived, on a connection to this address.
    not_reached,  ///< The server dialed it, and failed.
    no_evidence,  ///< Refused, lost, late, out of order: says nothing about us.
  };
  PeerId server;
  std::optional<IpAddress> server_ip;
  Multiaddr address;
  Outcome outcome = Outcome::no_evidence;
  std::optional<IpAddress> dialed_from;  ///< If reached: where that connection came from.
  /// We had sent something there before: a filter that only lets in whom we contacted looks the
  /// same as none.
  bool is_from_known_ip = true;
  std::string text;  ///< If no_evidence: why.
};

/// A connection from an address that we have never sent anything to.
struct StrangerConnected {
  IpAddress from;
  Multiaddr local;  ///< Where it came in, as we see it.
};

/// How our NAT maps the listeners of one family and protocol.
struct NatMapping {
  bool is_v6 = false;
  bool is_udp = false;
  PortMapping mapping = PortMapping::unknown;
  std::size_t networks = 0;  ///< Of different observers that this rests on.
  bool operator==(const NatMapping&) const = default;
};

/// The networks of the AutoNAT v2 servers that can be asked now, or soon.
struct KnownServers {
  std::vector<std::string> networks;
  bool operator==(const KnownServers&) const = default;
};

/// Something has changed that may change verdicts: all addresses are to be asked about anew.
struct Doubt {
  std::string why;
};

/// Time has passed: old evidence expires.
struct TimePassed {};

using ReachabilityInput = std::variant<Candidates, ServerAnswer, DialBack, StrangerConnected,
                                       NatMapping, KnownServers, Doubt, TimePassed>;

}  // namespace pyrsia::host

#pragma once

#include <pyrsia/error.hpp>
#include <pyrsia/ip.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/peer_id.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pyrsia {

/// A peer asked us to dial it back, or that probe ended. The original's AutoNAT InboundProbe.
struct InboundProbe {
  enum class Stage { request, response, error };
  PeerId peer;
  Stage stage = Stage::request;
  std::vector<Multiaddr> addresses;  ///< request: what we will dial; response: what answered.
  std::string reason;                ///< error: in words.
};

/// A probe of our own. The original's AutoNAT OutboundProbe.
struct OutboundProbe {
  enum class Stage { request, response, error };
  std::optional<PeerId> server;  ///< None if no server was known.
  Stage stage = Stage::request;
  std::optional<Multiaddr> address;  ///< response: the address that was reached.
  std::string reason;                ///< error: in words.
};

/// The original's AutoNAT StatusChanged.
struct StatusChanged {
  Reachability old_status = Reachability::unknown;
  Reachability new_status = Reachability::unknown;
  std::optional<Multiaddr> address;  ///< If reachable.
  std::string reason;
  std::vector<NatEvidence> evidence = {};  ///< What it rests on; at most 16.
};

/// The verdict on one address of ours has changed, or has been confirmed, or is so no more.
struct AddressVerdictChanged {
  Multiaddr address;
  Reachability old_status = Reachability::unknown;
  Reachability new_status = Reachability::unknown;
  bool is_confirmed = false;  ///< Three different networks agree.
  std::string reason;
  std::vector<NatEvidence> evidence = {};  ///< Newest first; at most 16.
};

struct Listening {
  Multiaddr address;
};
struct PeerConnected {
  PeerId peer;
  Multiaddr address;
};
struct PeerDisconnected {
  PeerId peer;
  Error reason;
};
/// One step of joining the network: fetching the status document, dialing a boot peer, or why that
/// failed. `text` is one clear line.
struct BootstrapProgress {
  enum class Stage { fetching, found, connecting, connected, failed, waiting };
  Stage stage = Stage::fetching;
  std::string text;
};
/// A router has opened, moved or closed a port of ours, or a dial-back has shown whether others get
/// through.
struct PortMappingChanged {
  enum class Stage { made, changed, lost, confirmed, broken };
  Stage stage = Stage::made;
  std::string transport;  ///< "tcp", "udp"
  Endpoint internal;
  Endpoint external;
  std::string protocol;  ///< "pcp", "nat-pmp", "upnp"
  std::string reason;    ///< In plain words.
};
/// "made", "changed", "lost", "confirmed", "broken".
std::string_view name(PortMappingChanged::Stage stage) noexcept;

/// Fully connected: a boot node that we are connected to sent us an inbound probe request.
struct Connected {
  PeerId peer;
};

using HostEvent = std::variant<InboundProbe, OutboundProbe, StatusChanged, Listening, PeerConnected,
                               PeerDisconnected, BootstrapProgress, Connected,
                               AddressVerdictChanged, PortMappingChanged>;

}  // namespace pyrsia

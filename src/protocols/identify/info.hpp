/// What we believe of a peer's Identify message, and what we tell of ourselves. Pure.
/// Spec: libp2p/specs, identify/README.md, and RFC 0003 (peer records).
#pragma once

#include "multi/address_class.hpp"
#include "protocols/identify/wire.hpp"
#include "swarm/connection.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::identify {

enum class Kind { answer, push };

/// The checked content of one exchange. In a push, what is absent is unchanged.
struct Info {
  Kind kind = Kind::answer;
  /// Without /p2p, of classes that make sense where the peer is. Absent: keep what is known.
  std::optional<std::vector<Multiaddr>> addresses;
  /// Set if `addresses` come from a signed record.
  std::optional<std::uint64_t> record_sequence;
  std::optional<std::vector<std::string>> protocols;
  std::optional<Multiaddr> observed;  ///< Us, as the peer sees us; without /p2p. Not on relays.
  std::optional<std::string> protocol_version;  ///< Printable ASCII.
  std::optional<std::string> agent;             ///< Printable ASCII.
};

/// Checks `message` from the peer of `connection`. `known_sequence` is of the last signed record.
/// A record that is older is passed over; one that is another peer's empties the addresses; one
/// that cannot be verified gives way to the unsigned addresses.
/// Errors: `Errc::wrong_peer` or `Errc::malformed` if there is a public key and it is not the
/// peer's: nothing of the message can be trusted then.
Result<Info> check(const Message& message, Kind kind, const swarm::ConnectionInfo& connection,
                   const AddressClassifier& classifier,
                   std::optional<std::uint64_t> known_sequence);

/// Where a peer is, as seen over its connection: which addresses concern it.
AddressClass neighbourhood(const swarm::ConnectionInfo& connection,
                           const AddressClassifier& classifier);

/// Those of `addresses` that a peer in `neighbourhood` can use: beside us on the loopback all, in
/// the same network all but loopback, elsewhere the global ones.
std::vector<Multiaddr> concerning(const std::vector<Multiaddr>& addresses,
                                  AddressClass neighbourhood, const AddressClassifier& classifier);

}  // namespace pyrsia::identify

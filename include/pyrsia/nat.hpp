#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia {

/// Can others open a connection to us? Three-valued: not knowing is not "no".
enum class Reachability { unknown, reachable, unreachable };

/// "unknown", "reachable", "unreachable".
std::string_view name(Reachability reachability) noexcept;
/// The original's words for a node: "Unknown", "Public", "Private".
std::string_view nat_status_name(Reachability reachability) noexcept;

/// One thing that was seen or told, and what follows from it for a verdict.
struct NatEvidence {
  std::string what;  ///< "dialed back", "tried to dial back and failed", …
  std::string who;   ///< The network that it came from, "192.0.2.0/24", or a peer id.
  Duration age{0};
  Reachability says = Reachability::unknown;  ///< Unknown: good to know, but decides nothing.
};

/// The verdict on one address of ours, and why.
struct AddressVerdict {
  Multiaddr address;
  Reachability status = Reachability::unknown;
  int confidence = 0;         ///< 0 to 3.
  Duration age{0};            ///< Since the last evidence for or against it.
  std::string reason;         ///< In plain words, for a person.
  std::string source;         ///< "listen", "observed", "announced", "mapped"
  std::size_t observers = 0;  ///< Groups of peers in distinct networks that saw us at it.
  bool is_confirmed = false;  ///< Three different networks agree. Else it is provisional.
  std::vector<NatEvidence> evidence = {};  ///< Newest first; at most 16.
  /// Unknown, as only peers that we had contacted have got in: one that we have not would settle
  /// it.
  bool is_known_ip_only = false;
};

/// The verdict on the node: reachable if any address is.
struct NatReport {
  Reachability status = Reachability::unknown;
  int confidence = 0;  ///< 0 to 3. A status changes only when contrary evidence has used it up.
  Duration age{0};     ///< Since the last evidence.
  std::string reason;
  bool is_connected = false;  ///< Fully: a boot node asked us for a dial-back of its own.
  std::vector<AddressVerdict> addresses;
  bool is_confirmed = false;  ///< Three different networks agree. Else it is provisional.
  std::vector<NatEvidence> evidence = {};  ///< About the node as a whole; newest first.
};

}  // namespace pyrsia

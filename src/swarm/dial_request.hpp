#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::swarm {

/// How a global IPv4 address is dialed where there is no IPv4: by which IPv6 address. Nothing: as
/// it is. Such a connection's remote address is the one that the peer is known by. RFC 6052.
using Synthesis = std::function<std::optional<IpAddress>(const IpAddress& v4)>;

struct DialRequest {
  PeerId peer;
  /// Tried besides those of the peer store; with `is_only_these`, instead of them. They are tried
  /// even if they failed a moment ago, while those of the store rest after a failure.
  std::vector<Multiaddr> addresses;
  bool is_only_these = false;
  bool is_new_connection = false;  ///< Dial even if connected; keep both connections.
  bool use_new_port = false;       ///< Never leave from a listener's port.
  std::size_t max_parallel = 8;    ///< Addresses being dialed at once.
  /// An address where nobody has answered for so long has failed; after the first answer of TCP
  /// the handshakes have the usual time. 0: the usual time for all of it.
  Duration reach_timeout{0};
  /// An address where nobody has answered by then is dialed once more, beside the first try, as
  /// packets get lost; and after as long again, `max_repeats` times in all. 0: it is not.
  Duration repeat_after{0};
  int max_repeats = 1;
  /// Gets a failure in words, if there is more to say than the error does: of the address that came
  /// closest to success. Outlives the call.
  std::string* detail = nullptr;
};

}  // namespace pyrsia::swarm

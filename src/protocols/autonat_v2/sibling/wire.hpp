/// Messages of /pyrsia/dial-back/1 as bytes. Pure: no I/O, no clock.
/// Spec: docs/adr/0017-dial-backs-by-siblings.md.
#pragma once

#include "protocols/autonat_v2/wire.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pyrsia::autonat_v2::sibling {

/// Largest message, in bytes: an address of the longest kind, and some.
inline constexpr std::size_t kMaxMessageBytes = 2048;

enum class Status {
  internal_error = 0,
  rejected = 100,      ///< Over a limit.
  refused = 101,       ///< Not an address that we dial.
  known_client = 102,  ///< The client is connected to us: its NAT may let us in, so we do not try.
  dialed = 200,
};

/// "E_REJECTED", "DIALED", …
std::string_view name(Status status);

/// "Please dial this client of mine back at this address."
struct Request {
  PeerId client;
  Multiaddr address;
  std::uint64_t nonce = 0;
  Duration round_trip{0};  ///< From the asker to the client; 0: not known. Whole ms on the wire.

  bool operator==(const Request&) const = default;
};

struct Response {
  Status status = Status::internal_error;
  DialStatus dial_status = DialStatus::unused;  ///< Not unused if and only if dialed.

  bool operator==(const Response&) const = default;
};

/// Always succeed.
Bytes encode(const Request& request);
Bytes encode(const Response& response);
/// Errors: `Errc::too_large`, `Errc::malformed`.
Result<Request> decode_request(BytesView bytes);
/// Errors: the same; `Errc::malformed` also for a status that we do not know.
Result<Response> decode_response(BytesView bytes);

}  // namespace pyrsia::autonat_v2::sibling

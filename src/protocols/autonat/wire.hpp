/// AutoNAT v1 messages as bytes. Pure: no I/O, no clock.
/// Spec: libp2p/specs, autonat/autonat-v1.md, "RPC messages".
#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::autonat {

/// Largest message that we send, in bytes: the original node reads no more.
inline constexpr std::size_t kMaxSentBytes = 1024;
/// Largest message that we read: js sends up to this.
inline constexpr std::size_t kMaxReceivedBytes = 8192;
/// Most addresses that we send; servers dial no more.
inline constexpr std::size_t kMaxAddresses = 16;
/// Further addresses of a request are left out. Our limit.
inline constexpr std::size_t kMaxReceivedAddresses = 128;
/// A longer status text is cut. Our limit.
inline constexpr std::size_t kMaxTextBytes = 256;

enum class Status {
  ok = 0,
  dial_error = 100,
  dial_refused = 101,
  bad_request = 200,
  internal_error = 300,
};

/// "OK", "E_DIAL_ERROR", …: the spec's names.
std::string_view name(Status status);

/// "Please dial me."
struct Dial {
  PeerId peer;
  std::vector<Multiaddr> addresses;
  /// Addresses that did not parse: left out, they spoil nothing else. Not encoded.
  std::size_t unparsable_count = 0;

  bool operator==(const Dial&) const = default;
};

struct DialResponse {
  Status status = Status::internal_error;
  std::string text;                  ///< For people; may be empty. Received: printable ASCII.
  std::optional<Multiaddr> address;  ///< The one that was reached; there if and only if ok.

  bool operator==(const DialResponse&) const = default;
};

/// A Dial from us: the first of `addresses` that fit into kMaxSentBytes and kMaxAddresses.
Dial fitting_dial(const PeerId& peer, const std::vector<Multiaddr>& addresses);

/// Always succeeds. Zero values are written out, as old peers require.
Bytes encode(const Dial& dial);
/// The response has an address if and only if it is ok.
Bytes encode(const DialResponse& response);

/// Errors: `Errc::too_large`; `Errc::malformed` if it is no DIAL or has no valid peer id.
Result<Dial> decode_dial(BytesView bytes);
/// Errors: `Errc::too_large`; `Errc::malformed` if it is no DIAL_RESPONSE, has no known status,
/// or is ok without a valid address. An address beside another status is left out.
Result<DialResponse> decode_response(BytesView bytes);

}  // namespace pyrsia::autonat

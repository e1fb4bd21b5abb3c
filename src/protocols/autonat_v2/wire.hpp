/// AutoNAT v2 messages as bytes. Pure: no I/O, no clock.
/// Spec: libp2p/specs, autonat/autonat-v2.md, "RPC Messages".
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace pyrsia::autonat_v2 {

/// Largest message that we send, in bytes: rust reads no more.
inline constexpr std::size_t kMaxSentBytes = 4096;
/// Largest message that we read: go and js send up to this.
inline constexpr std::size_t kMaxReceivedBytes = 8192;
/// Largest message of a dial-back stream that we read, as go.
inline constexpr std::size_t kMaxDialBackBytes = 1024;
/// Most addresses that we ask about at once, as go and rust.
inline constexpr std::size_t kMaxAddresses = 10;
/// Addresses of a request that a server considers, as go; the rest is left out.
inline constexpr std::size_t kMaxConsideredAddresses = 50;
/// What a dial to an IP that is not the client's own costs, in bytes of dial data. Spec:
/// "Amplification Attack Prevention".
inline constexpr std::uint64_t kMinDialDataBytes = 30'000;
inline constexpr std::uint64_t kMaxDialDataBytes = 100'000;
/// Data of one message that we send, in bytes: it fits everybody's buffer with its framing.
inline constexpr std::size_t kDialDataChunkBytes = 4000;
/// A message with less is refused, unless it is the last one: it costs more than it pays. As go.
inline constexpr std::size_t kMinDialDataChunkBytes = 100;

enum class ResponseStatus {
  internal_error = 0,
  request_rejected = 100,
  dial_refused = 101,
  ok = 200,
};

enum class DialStatus {
  unused = 0,
  dial_error = 100,
  dial_back_error = 101,
  ok = 200,
};

/// "OK", "E_DIAL_REFUSED", …: the spec's names.
std::string_view name(ResponseStatus status);
std::string_view name(DialStatus status);

/// "Please dial the first of these that you can."
struct DialRequest {
  /// By priority. One that does not parse is empty: it keeps its place, as answers count places.
  std::vector<Multiaddr> addresses;
  std::uint64_t nonce = 0;

  bool operator==(const DialRequest&) const = default;
};

struct DialResponse {
  ResponseStatus status = ResponseStatus::internal_error;
  /// The two that follow mean nothing unless the status is ok.
  std::uint32_t address_index = 0;
  DialStatus dial_status = DialStatus::unused;

  bool operator==(const DialResponse&) const = default;
};

/// "That address costs so many bytes."
struct DialDataRequest {
  std::uint32_t address_index = 0;
  std::uint64_t byte_count = 0;

  bool operator==(const DialDataRequest&) const = default;
};

/// Some of these bytes. What they are does not matter: ours are zeros.
struct DialDataResponse {
  std::size_t byte_count = 0;

  bool operator==(const DialDataResponse&) const = default;
};

using Message = std::variant<DialRequest, DialResponse, DialDataRequest, DialDataResponse>;

/// A request of ours: the first of `addresses` that fit into kMaxAddresses and kMaxSentBytes.
DialRequest fitting_request(const std::vector<Multiaddr>& addresses, std::uint64_t nonce);

/// Always succeeds. Zero values are left out, as proto3 has it.
Bytes encode(const Message& message);
/// Errors: `Errc::too_large`; `Errc::malformed`, also for a status that we do not know: the spec
/// wants such responses discarded.
Result<Message> decode(BytesView bytes);

/// The bare message that a dial-back stream begins with.
Bytes encode_dial_back(std::uint64_t nonce);
/// The nonce. Errors: `Errc::too_large`, `Errc::malformed`.
Result<std::uint64_t> decode_dial_back(BytesView bytes);
/// "It has arrived": OK is the only status, and 0, so the message is empty.
Bytes encode_dial_back_response();

}  // namespace pyrsia::autonat_v2

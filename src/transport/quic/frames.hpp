/// The frames of a packet, as far as the library does not tell of them. Spec: RFC 9000, 12.4, 19.
#pragma once

#include <pyrsia/bytes.hpp>

#include <cstdint>
#include <optional>

namespace pyrsia::transport::quic {

/// The peer reads a stream no more. Spec: RFC 9000, 19.5.
struct StopSending {
  std::int64_t stream = 0;
  std::uint64_t code = 0;
  bool operator==(const StopSending&) const = default;
};

/// The next STOP_SENDING in `payload`, the decrypted rest of a packet, which is moved behind it.
/// Nothing: there is none before the end, or before a frame that no version 1 has.
std::optional<StopSending> next_stop_sending(BytesView& payload);

}  // namespace pyrsia::transport::quic

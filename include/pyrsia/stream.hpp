#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/task.hpp>

#include <cstdint>
#include <optional>
#include <span>

namespace pyrsia {

/// Why a stream is reset. Carried by transports that can; a peer may send any other number.
/// Spec: libp2p/specs, error-codes (stream codes).
enum class ResetCode : std::uint32_t {
  none = 0,
  negotiation_failed = 0x1001,
  resource_limit = 0x1002,
  rate_limited = 0x1003,
  protocol_violation = 0x1004,
  shutdown = 0x1007,
};

/// A reliable, ordered byte stream with half-close: a TCP socket, a yamux or QUIC stream, one end
/// of a simulated connection. At most one read and one write may be pending at a time, and
/// neither may be pending when it is destroyed. Destroying it resets it, unless both ends have
/// closed it. A cancelled read loses no bytes: they wait for the next read.
class Stream {
 public:
  virtual ~Stream() = default;

  /// Waits until read_some() would return at once. Holds no buffer while it waits.
  /// Errors: `Errc::closed`, `Errc::reset`.
  virtual Task<> wait_readable() = 0;

  /// Reads at least one byte into `out`, which is not empty; 0 is the end: the peer closed its
  /// side and everything was read. Errors: `Errc::closed`, `Errc::reset`.
  virtual Task<std::size_t> read_some(std::span<std::uint8_t> out) = 0;

  /// Hands over all of `bytes`; waits while the peer takes none. Errors: `Errc::closed` (also
  /// after close_write()), `Errc::reset`.
  virtual Task<> write_all(BytesView bytes) = 0;

  /// Hands over all of `parts`, in order, as one write where the transport can. Same errors.
  virtual Task<> write_all_parts(std::span<const BytesView> parts) = 0;

  /// Tells the peer that no more bytes follow; reading goes on. Does not wait for the peer.
  /// Errors: `Errc::closed`, `Errc::reset`.
  virtual Task<> close_write() = 0;

  /// Drops the stream at both ends at once. Pending calls end with `Errc::closed`.
  virtual void reset(ResetCode code) noexcept = 0;
  void reset() noexcept { reset(ResetCode::none); }

  /// The number with which the peer has dropped the stream; reads fail with `Errc::reset`. Mostly
  /// one of ResetCode. Nothing: it has not, or the transport carries no number.
  virtual std::optional<std::uint64_t> peer_reset_code() const { return std::nullopt; }
  /// The number with which the peer has said that it reads no more (QUIC's STOP_SENDING); writes
  /// fail. Nothing: it has not, or the transport cannot say so.
  virtual std::optional<std::uint64_t> peer_stop_code() const { return std::nullopt; }
};

/// Fills `out`. Errors: `Errc::closed` if the stream ends first, and those of the stream.
Task<> read_exactly(Stream& stream, std::span<std::uint8_t> out);

}  // namespace pyrsia

#pragma once

#include <pyrsia/stream.hpp>
#include <pyrsia/task.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <memory>
#include <optional>

namespace pyrsia::mux {

/// Takes the streams that the peer opens.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  /// May destroy the stream at once, which resets it. Must not destroy the muxer.
  virtual void on_stream(std::unique_ptr<Stream> stream) = 0;
};

/// Why a session ends. Spec: yamux GoAway codes, libp2p error codes (connection).
enum class GoAway : std::uint32_t { normal = 0, protocol_error = 1, internal_error = 2 };

/// Many streams over one connection: yamux, or QUIC's own.
class Muxer {
 public:
  virtual ~Muxer() = default;  ///< Streams that are left turn dead: their calls end with `closed`.

  /// Serves the connection until it ends; call it once. Returns the reason: `Errc::closed` for an
  /// orderly end by either side, `Errc::timed_out` for a dead peer, `Errc::refused` (see
  /// is_confirmed()), `Errc::reset`, `Errc::protocol_violation`, `Errc::malformed`,
  /// `Errc::bad_signature`, `Errc::cancelled`. Never a success. By its end every
  /// stream was closed.
  virtual Task<> run(StreamSink& sink) = 0;

  /// True once the peer has judged us. A QUIC client can open streams half a round trip earlier.
  virtual bool is_confirmed() const { return true; }
  /// Ends when is_confirmed(). Errors: why the session ended before, `Errc::refused` as a rule.
  virtual Task<> wait_confirmed() { co_return ok; }

  /// Waits while too many opened streams are not yet acknowledged by the peer.
  /// Errors: `Errc::closed`, `Errc::limit_reached` (our limit of streams).
  virtual Task<std::unique_ptr<Stream>> open_stream() = 0;

  /// Says GoAway if the transport takes it at once, and ends: run() returns. May be repeated.
  virtual void close(GoAway reason) noexcept = 0;

  /// Keeps the connection alive and notices a dead peer. Called every few seconds.
  virtual void tick(TimePoint now) = 0;

  virtual std::size_t stream_count() const = 0;
  /// Round trip time last measured, if any.
  virtual std::optional<Duration> round_trip() const = 0;
  /// The same, if the answer came at `since` or later. The client of a QUIC connection cannot have
  /// it measured, and says what it knows.
  virtual std::optional<Duration> round_trip_since(TimePoint since) const = 0;
  /// Has it measured now.
  virtual void measure_round_trip() {}
};

}  // namespace pyrsia::mux

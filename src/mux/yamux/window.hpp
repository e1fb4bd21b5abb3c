/// Flow control of one stream: plain state machines. Spec: hashicorp/yamux spec.md, "Flow Control".
#pragma once

#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <cstdint>
#include <optional>

namespace pyrsia::mux::yamux {

/// Receive window of a new stream, in bytes, both ways (spec).
inline constexpr std::uint32_t kInitialWindowBytes = 256 * 1024;

/// How much we may still send.
class SendWindow {
 public:
  std::uint32_t bytes() const { return bytes_; }
  /// `count` is at most bytes().
  void take(std::uint32_t count);
  /// Errors: `Errc::protocol_violation` if it overflows 32 bits.
  Result<> grant(std::uint32_t delta);

 private:
  std::uint32_t bytes_ = kInitialWindowBytes;
};

/// How far windows may grow beyond the first 256 KiB, shared by the streams of a session.
class WindowBudget {
 public:
  explicit WindowBudget(std::size_t bytes) : left_(bytes) {}
  /// True if `bytes` were left; they are then taken.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes) { left_ += bytes; }

 private:
  std::size_t left_;
};

/// How much the peer may still send, and when to let him send more. The window doubles when it is
/// used up within four round trips, for it is then what limits the stream.
class ReceiveWindow {
 public:
  /// `budget` must outlive the window, or its release().
  ReceiveWindow(WindowBudget& budget, std::uint32_t max_bytes)
      : budget_(&budget), max_(max_bytes) {}
  ReceiveWindow(const ReceiveWindow&) = delete;
  ReceiveWindow& operator=(const ReceiveWindow&) = delete;
  ~ReceiveWindow() { release(); }

  std::uint32_t size() const { return size_; }
  /// `count` bytes came. False if the peer was not allowed to send them.
  bool receive(std::uint32_t count);
  /// `count` received bytes were read. Returns what to grant now; 0: nothing yet.
  std::uint32_t consume(std::uint32_t count, TimePoint now, std::optional<Duration> round_trip);
  /// Gives back what it took of the budget. The window grows no more.
  void release();

 private:
  WindowBudget* budget_;
  std::uint32_t max_;
  std::uint32_t size_ = kInitialWindowBytes;
  std::uint32_t granted_ = kInitialWindowBytes;  ///< What the peer may still send.
  std::uint32_t unread_ = 0;
  TimePoint last_grant_ = TimePoint::min();
};

}  // namespace pyrsia::mux::yamux

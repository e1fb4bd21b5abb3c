#pragma once

#include <pyrsia/time.hpp>

#include <optional>

namespace pyrsia::stun {

/// When a request over UDP is sent again. Spec: RFC 8489, 6.2.1, whose values are the default.
struct RetransmitPlan {
  Duration rto = std::chrono::milliseconds(500);  ///< Doubled after each transmission.
  int count = 7;                                  ///< Rc: transmissions in all.
  int last_factor = 16;  ///< Rm: the last one is waited for that many times the first RTO.
  /// A transmission never waits longer than this for the next; 0: as the RFC, no limit.
  Duration max_rto{0};

  /// For a probe that shall end within two seconds: 100, 200, 400, 400 ms, … A lost packet costs
  /// a tenth of a second, not half of one.
  static RetransmitPlan quick();
  /// How long it takes until nobody has answered.
  Duration total() const;
};

/// The retransmissions of one request: a plain state machine.
class Retransmission {
 public:
  Retransmission(const RetransmitPlan& plan, TimePoint start);

  /// True if the request is to be sent now, and so it counts as sent.
  bool is_due(TimePoint now);
  /// When is_due() or is_over() may next be true.
  TimePoint next() const { return next_; }
  /// All was sent, and nobody answered in time.
  bool is_over(TimePoint now) const { return sent_ >= plan_.count && now >= next_; }
  int sent_count() const { return sent_; }

 private:
  RetransmitPlan plan_;
  TimePoint next_;
  Duration rto_;
  int sent_ = 0;
};

}  // namespace pyrsia::stun

/// In which order, and when, the addresses of one peer are dialed.
#pragma once

#include "multi/address_class.hpp"

#include <pyrsia/error.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/time.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace pyrsia::swarm {

struct DialRules {
  Duration global_step = std::chrono::milliseconds(250);  ///< Between starts, global addresses.
  Duration private_step = std::chrono::milliseconds(30);  ///< The same for all narrower ones.
  std::size_t parallel = 8;                               ///< Running at once.
  std::size_t addresses = 100;                            ///< More are ignored.
};

/// How close to success a dial that ended so came; higher is closer. Which error to report.
int closeness(Error error);

/// Ranks and staggers the dials of one peer; a plain state machine.
/// Addresses form lanes by class: global, private (with link-local), loopback. The lanes run side
/// by side. In a lane IPv6 comes first, then the families take turns; the next address starts one
/// step after the one before it, or at once when one fails. Lives as long as one dial job.
class DialPlan {
 public:
  explicit DialPlan(const DialRules& rules) : rules_(rules) {}

  /// Adds an address with an IP in front. One that is known already is ignored. False if it was.
  bool add(const Multiaddr& address, AddressClass address_class, TimePoint now);
  /// The next address whose time has come, now taken as running. Call it until there is none.
  std::optional<Multiaddr> start_next(TimePoint now);
  /// When start_next() will have one, if nothing else happens before.
  std::optional<TimePoint> next_start() const;
  /// A running dial ended without success.
  void failed(const Multiaddr& address, Error error, TimePoint now);

  std::size_t running() const { return attempts_.size(); }
  /// Nothing runs and nothing waits.
  bool is_exhausted() const;
  /// Of the dial that came closest to success; `Errc::unavailable` if none was tried.
  Error error() const { return error_; }

 private:
  struct Lane {
    std::vector<Multiaddr> waiting;  ///< In order.
    TimePoint next_start{};
    Duration step{};
    bool is_last_v6 = false;  ///< The family of the address started last.
  };
  struct Attempt {
    Multiaddr address;
    std::size_t lane;
  };

  DialRules rules_;
  std::array<Lane, 3> lanes_;
  std::vector<Attempt> attempts_;  ///< Running.
  std::vector<Multiaddr> known_;
  Error error_ = Errc::unavailable;
};

}  // namespace pyrsia::swarm

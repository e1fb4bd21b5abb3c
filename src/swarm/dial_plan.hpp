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

/// Figures: those of go.
struct DialRules {
  Duration global_step = std::chrono::milliseconds(250);  ///< Between starts, global addresses.
  Duration private_step = std::chrono::milliseconds(30);  ///< The same for all narrower ones.
  Duration global_rest = std::chrono::seconds(1);         ///< Before what is neither QUIC nor TCP.
  Duration private_rest = std::chrono::milliseconds(100);
  std::size_t parallel = 8;     ///< Running at once.
  std::size_t addresses = 100;  ///< More are ignored.
};

/// How close to success a dial that ended so came; higher is closer. Which error to report.
int closeness(Error error);

/// Ranks and staggers the dials of one peer; a plain state machine.
/// Addresses form lanes by class: global, private (with link-local), loopback. The lanes run side
/// by side. In a lane come tiers: QUIC, then TCP, then the others, then those that probably lead
/// into a black hole. In a tier the first address is of IPv6, one step later the first of IPv4
/// follows, and after one more step all that are left. A tier begins one step (the third and
/// fourth: a longer rest) after the last start of the one before it. When a dial fails the next
/// starts at once. While a connection that is there is being upgraded all wait for one step.
/// Lives as long as one dial job.
class DialPlan {
 public:
  explicit DialPlan(const DialRules& rules) : rules_(rules) {}

  /// Adds an address with an IP in front; `is_last_resort` puts it behind all others. One that is
  /// known already is ignored, and so is a WebSocket where plain TCP of the same endpoint is
  /// known. False if it was.
  bool add(const Multiaddr& address, AddressClass address_class, TimePoint now,
           bool is_last_resort = false);
  /// The next address whose time has come, now taken as running. Call it until there is none.
  std::optional<Multiaddr> start_next(TimePoint now);
  /// When start_next() will have one, if nothing else happens before.
  std::optional<TimePoint> next_start() const;
  /// A running dial has reached the peer; handshakes follow.
  void connected(const Multiaddr& address, TimePoint now);
  /// A running dial ended without success.
  void failed(const Multiaddr& address, Error error, TimePoint now);

  std::size_t running() const { return attempts_.size(); }
  bool is_running(const Multiaddr& address) const;
  /// Nothing runs and nothing waits.
  bool is_exhausted() const;
  /// Of the dial that came closest to success; `Errc::unavailable` if none was tried.
  Error error() const { return error_; }

 private:
  enum class Tier : std::uint8_t { quic, tcp, other, last_resort };
  struct Candidate {
    Multiaddr address;
    Tier tier;
  };
  struct Lane {
    Duration step{};
    Duration rest{};
    std::vector<Candidate> waiting;  ///< As they came.
    std::optional<TimePoint> due;    ///< Whatever the steps say.
    TimePoint last_start{};
    Tier tier{};              ///< Of the address started last.
    std::size_t started = 0;  ///< Of that tier.
    bool is_last_v6 = false;
    bool has_both = false;  ///< The first two of the tier were of both families.

    /// Of those that wait, the index of the next; there is one.
    std::size_t next() const;
    TimePoint next_start() const;
  };
  struct Attempt {
    Multiaddr address;
    std::size_t lane;
  };

  DialRules rules_;
  std::array<Lane, 3> lanes_;
  std::vector<Attempt> attempts_;  ///< Running.
  std::vector<Multiaddr> known_;
  TimePoint hold_until_{};
  Error error_ = Errc::unavailable;
};

}  // namespace pyrsia::swarm

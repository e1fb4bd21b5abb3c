#pragma once

#include <pyrsia/error.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <deque>
#include <optional>

namespace pyrsia::swarm {

/// Figures: those of go, so that both give up on UDP at about the same time.
struct BlackHoleRules {
  std::size_t window = 100;       ///< Outcomes that are looked at, the last ones.
  std::size_t min_successes = 5;  ///< With fewer of them this kind of address leads nowhere.
  std::size_t probe_interval =
      100;  ///< One in so many addresses is dialed in its turn all the same.
};

/// What the end of a dial says about the network: true that it carries this kind of packet, false
/// that it may not, none nothing. A closed port or a wrong peer answered; our own limits prove
/// nothing, nor does a dial that was given up before an answer could be there.
std::optional<bool> evidence_of(Error error, Duration ran_for);

/// Notices a network that swallows one kind of packet (UDP, IPv6): a plain state machine.
class BlackHoleDetector {
 public:
  explicit BlackHoleDetector(const BlackHoleRules& rules) : rules_(rules) {}

  /// An outcome. A success while it was a black hole begins a new window.
  void record(bool is_success);
  bool is_black_hole() const {
    return outcomes_.size() >= rules_.window && successes_ < rules_.min_successes;
  }
  /// True if an address of this kind is to come after all others; counts the question.
  bool holds_back();

 private:
  BlackHoleRules rules_;
  std::deque<bool> outcomes_;
  std::size_t successes_ = 0;
  std::size_t questions_ = 0;
};

}  // namespace pyrsia::swarm

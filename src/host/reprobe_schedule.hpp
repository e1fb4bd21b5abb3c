#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/time.hpp>

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace pyrsia::host {

struct ReprobeConfig {
  Duration first_pause = std::chrono::seconds(2);  ///< While provisional or not known; doubles.
  Duration longest_pause = std::chrono::minutes(2);
  Duration reachable_interval = std::chrono::minutes(5);    ///< Once confirmed.
  Duration unreachable_interval = std::chrono::minutes(1);  ///< Once confirmed.
  /// Of what somebody said, in each such time: who says otherwise than all others, whenever he is
  /// asked, would have us ask them without end. Twice what a lost port forward takes.
  std::size_t max_doubts = 12;
  Duration doubts_window = std::chrono::minutes(1);
};

/// When which address is to be asked about again. The AutoNAT v2 client asks about new addresses by
/// itself; this says when the next round is due, and which addresses cannot wait for it. A plain
/// state machine; holds no more addresses than it is given.
class ReprobeSchedule {
 public:
  explicit ReprobeSchedule(ReprobeConfig config = {}) : config_(config) {}

  /// These are the addresses now; new ones are due after the first pause.
  void set_addresses(const std::set<Multiaddr>& addresses, TimePoint now);
  /// Somebody had a word on it, and this is the verdict now.
  void judged(const Multiaddr& address, Reachability status, bool is_confirmed, TimePoint now);
  /// Somebody's word says that it is to be asked about at once, of several servers; passed over if
  /// there have been too many.
  void doubt(const Multiaddr& address, TimePoint now);
  /// Something of our own says so.
  void doubt_all();
  /// Rounds that brought nothing are followed by longer pauses.
  void tick(TimePoint now);

  /// When the next round is due. None: there is no address.
  std::optional<TimePoint> next_round() const;
  /// Those in doubt; they are so no more.
  std::vector<Multiaddr> take_doubted();

 private:
  struct Plan {
    TimePoint due;
    Duration pause;
    bool is_in_doubt = false;
    std::size_t doubts = 0;  ///< Since `doubts_since`, of others.
    TimePoint doubts_since{};
  };

  ReprobeConfig config_;
  std::map<Multiaddr, Plan> plans_;
};

}  // namespace pyrsia::host

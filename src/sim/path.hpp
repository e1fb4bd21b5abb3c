#pragma once

#include <pyrsia/time.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

namespace pyrsia::sim {

/// What one direction of a way through the network does to packets.
struct PathConfig {
  Duration one_way_delay{0};
  Duration jitter{0};  ///< Added: uniform from 0 to this. Does not change the order.
  double loss = 0;     ///< The share of packets that vanish; TCP sends them again.
  double reorder = 0;  ///< The share of packets that are held back by `reorder_delay`.
  Duration reorder_delay = std::chrono::milliseconds(10);
  std::uint64_t bytes_per_second = 0;  ///< 0: without limit.
  /// A packet that would wait behind more than this is lost.
  std::size_t max_queued_bytes = std::size_t(1) << 20;
  /// UDP packets over this, IP header included, that may not be cut are lost. 0: none.
  std::size_t mtu_bytes = 0;
  double congestion_marks = 0;  ///< The share of packets with ECN that are marked CE.
};

/// One direction of a way: a queue, then a delay. A plain state machine.
class Path {
 public:
  Path() = default;
  explicit Path(const PathConfig& config) : config_(config) {}

  /// When a packet of `bytes` that is sent at `now` arrives. Nothing: it is lost.
  std::optional<TimePoint> send(TimePoint now, std::size_t bytes, std::mt19937_64& random);
  void set_config(const PathConfig& config) { config_ = config; }
  const PathConfig& config() const { return config_; }

 private:
  PathConfig config_;
  TimePoint queue_ends_{};
  TimePoint last_arrival_{};
};

/// A number from 0 up to, and not including, 1; the same with every standard library.
double random_share(std::mt19937_64& random);

}  // namespace pyrsia::sim

#include "sim/path.hpp"

#include <algorithm>

namespace pyrsia::sim {

double random_share(std::mt19937_64& random) {
  return double(random() >> 11) * 0x1.0p-53;
}

std::optional<TimePoint> Path::send(TimePoint now, std::size_t bytes, std::mt19937_64& random) {
  auto sent = now;
  if (config_.bytes_per_second > 0) {
    const auto per_byte = 1e9 / double(config_.bytes_per_second);
    const auto start = std::max(now, queue_ends_);
    if (double((start - now).count()) > double(config_.max_queued_bytes) * per_byte)
      return std::nullopt;
    sent = start + Duration(std::int64_t(double(bytes) * per_byte + 0.5));
    queue_ends_ = sent;
  }
  // A lost packet has used its share of the bandwidth.
  if (config_.loss > 0 && random_share(random) < config_.loss) return std::nullopt;
  auto arrival = sent + config_.one_way_delay;
  if (config_.jitter > Duration(0))
    arrival += Duration(std::int64_t(double(config_.jitter.count()) * random_share(random)));
  if (config_.reorder > 0 && random_share(random) < config_.reorder)
    return std::max(arrival, last_arrival_) + config_.reorder_delay;  // Others may overtake it.
  last_arrival_ = std::max(arrival, last_arrival_);
  return last_arrival_;
}

}  // namespace pyrsia::sim

#include "nat/portmap/epoch.hpp"

#include <algorithm>

namespace pyrsia::portmap {

namespace {

constexpr Duration kFirstPause = std::chrono::seconds(5);
constexpr Duration kLastPause = std::chrono::minutes(10);

}  // namespace

bool EpochWatch::add(const EpochSample& sample) {
  const auto before = std::exchange(last_, sample);
  if (!before) return true;
  using std::chrono::duration_cast, std::chrono::seconds;
  const std::int64_t client_delta = duration_cast<seconds>(sample.at - before->at).count();
  const std::int64_t server_delta = std::int64_t(sample.seconds) - std::int64_t(before->seconds);
  // Packets may overtake each other by a second.
  if (server_delta < -1) return false;
  return client_delta + 2 >= server_delta - server_delta / 16 &&
         server_delta + 2 >= client_delta - client_delta / 16;
}

TimePoint RestartPace::next(TimePoint now) {
  if (last_ && now < *last_) return *last_;  // They will be asked for anyway.
  if (last_ && now - *last_ > 2 * pause_) last_.reset();
  const auto at = last_ ? std::max(now, *last_ + pause_) : now;
  pause_ = last_ ? std::min(2 * pause_, kLastPause) : kFirstPause;
  last_ = at;
  return at;
}

}  // namespace pyrsia::portmap

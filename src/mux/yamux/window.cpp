#include "mux/yamux/window.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace pyrsia::mux::yamux {

void SendWindow::take(std::uint32_t count) {
  assert(count <= bytes_);
  bytes_ -= count;
}

Result<> SendWindow::grant(std::uint32_t delta) {
  if (delta > std::numeric_limits<std::uint32_t>::max() - bytes_) return Errc::protocol_violation;
  bytes_ += delta;
  return ok;
}

bool WindowBudget::take(std::size_t bytes) {
  if (bytes > left_) return false;
  left_ -= bytes;
  return true;
}

void ReceiveWindow::release() {
  if (budget_) budget_->give_back(size_ - kInitialWindowBytes);
  budget_ = nullptr;
}

bool ReceiveWindow::receive(std::uint32_t count) {
  if (count > granted_) return false;
  granted_ -= count;
  unread_ += count;
  return true;
}

std::uint32_t ReceiveWindow::consume(std::uint32_t count, TimePoint now,
                                     std::optional<Duration> round_trip) {
  assert(count <= unread_);
  unread_ -= count;
  if (size_ - granted_ - unread_ < size_ / 2) return 0;
  if (round_trip && last_grant_ != TimePoint::min() && now - last_grant_ < 4 * *round_trip) {
    const auto grown = std::uint32_t(std::min<std::uint64_t>(2ull * size_, max_));
    if (grown > size_ && budget_ && budget_->take(grown - size_)) size_ = grown;
  }
  last_grant_ = now;
  const auto delta = size_ - granted_ - unread_;
  granted_ += delta;
  return delta;
}

}  // namespace pyrsia::mux::yamux

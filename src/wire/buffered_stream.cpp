#include "wire/buffered_stream.hpp"

#include <algorithm>

namespace pyrsia::wire {
namespace {

/// Bytes read ahead at most. Our choice: a whole handshake fits.
constexpr std::size_t kReadAheadBytes = 4096;
/// Bytes held back at most. Our choice: two answers of a handshake fit.
constexpr std::size_t kMaxHeldBytes = 1024;

}  // namespace

Task<BytesView> BufferedStream::peek(std::size_t count) {
  while (buffer_.size() - taken_ <= count) {
    PYRSIA_CO_TRY(co_await send_held());
    PYRSIA_CO_TRY(co_await stream_->wait_readable());
    Bytes more(kReadAheadBytes);
    PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(more));
    if (read == 0) co_return Errc::closed;
    buffer_.insert(buffer_.end(), more.begin(), more.begin() + std::ptrdiff_t(read));
  }
  co_return BytesView(buffer_).subspan(taken_);
}

void BufferedStream::skip(std::size_t count) {
  taken_ += count;
  if (taken_ < buffer_.size()) return;
  buffer_ = Bytes();
  taken_ = 0;
}

Task<> BufferedStream::wait_readable() {
  if (taken_ < buffer_.size()) co_return ok;
  PYRSIA_CO_TRY(co_await send_held());
  co_return co_await stream_->wait_readable();
}

Task<std::size_t> BufferedStream::read_some(std::span<std::uint8_t> out) {
  // Whoever brings a large buffer needs none of ours.
  if (buffer_.empty() && held_.empty() && out.size() >= kReadAheadBytes)
    return stream_->read_some(out);
  return read_through_buffer(out);
}

Task<std::size_t> BufferedStream::read_through_buffer(std::span<std::uint8_t> out) {
  if (buffer_.empty()) {
    PYRSIA_CO_TRY(co_await wait_readable());
    Bytes ahead(kReadAheadBytes);
    PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(ahead));
    if (read == 0) co_return std::size_t(0);
    ahead.resize(read);
    buffer_ = std::move(ahead);
    taken_ = 0;
  }
  const auto count = std::min(out.size(), buffer_.size() - taken_);
  std::copy_n(buffer_.begin() + std::ptrdiff_t(taken_), count, out.begin());
  taken_ += count;
  if (taken_ == buffer_.size()) {
    buffer_ = Bytes();
    taken_ = 0;
  }
  co_return count;
}

Task<> BufferedStream::write_all(BytesView bytes) {
  if (!is_holding_ && held_.empty()) return stream_->write_all(bytes);
  return hold(bytes);
}

Task<> BufferedStream::write_all_parts(std::span<const BytesView> parts) {
  if (!is_holding_ && held_.empty()) return stream_->write_all_parts(parts);
  return hold_parts(parts);
}

Task<> BufferedStream::hold(BytesView bytes) {
  held_.insert(held_.end(), bytes.begin(), bytes.end());
  if (!is_holding_ || held_.size() > kMaxHeldBytes) co_return co_await send_held();
  co_return ok;
}

Task<> BufferedStream::hold_parts(std::span<const BytesView> parts) {
  Bytes joined;
  for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
  co_return co_await hold(joined);
}

Task<> BufferedStream::send_held() {
  if (held_.empty()) co_return ok;
  const auto bytes = std::exchange(held_, Bytes());
  co_return co_await stream_->write_all(bytes);
}

Task<> BufferedStream::release_writes() {
  is_holding_ = false;
  co_return co_await send_held();
}

Task<> BufferedStream::close_write() {
  PYRSIA_CO_TRY(co_await send_held());
  co_return co_await stream_->close_write();
}

void BufferedStream::reset(ResetCode code) noexcept {
  stream_->reset(code);
}

}  // namespace pyrsia::wire

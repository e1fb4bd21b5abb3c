#include "wire/buffered_stream.hpp"

#include <algorithm>

namespace pyrsia::wire {
namespace {

/// Bytes read ahead at most. Our choice: a whole handshake fits.
constexpr std::size_t kReadAheadBytes = 4096;

}  // namespace

Task<> BufferedStream::wait_readable() {
  if (taken_ < buffer_.size()) co_return ok;
  co_return co_await stream_->wait_readable();
}

Task<std::size_t> BufferedStream::read_some(std::span<std::uint8_t> out) {
  // Whoever brings a large buffer needs none of ours.
  if (buffer_.empty() && out.size() >= kReadAheadBytes) return stream_->read_some(out);
  return read_through_buffer(out);
}

Task<std::size_t> BufferedStream::read_through_buffer(std::span<std::uint8_t> out) {
  if (buffer_.empty()) {
    PYRSIA_CO_TRY(co_await stream_->wait_readable());
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
  return stream_->write_all(bytes);
}

Task<> BufferedStream::write_all_parts(std::span<const BytesView> parts) {
  return stream_->write_all_parts(parts);
}

Task<> BufferedStream::close_write() {
  return stream_->close_write();
}

void BufferedStream::reset(ResetCode code) noexcept {
  stream_->reset(code);
}

}  // namespace pyrsia::wire

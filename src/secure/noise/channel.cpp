#include "secure/noise/channel.hpp"

#include "secure/noise/state.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>

namespace pyrsia::secure::noise {
namespace {

constexpr std::size_t kLengthBytes = 2;
/// Sealed bytes up to which a write does without a pooled buffer.
constexpr std::size_t kSmallWriteBytes = 2048;
/// Of a frame that is not complete, up to here the begin is moved to a buffer of its size.
constexpr std::size_t kMaxKeptBytes = 8 * 1024;
/// Read at most at once: more makes the bytes cold before they are opened.
constexpr std::size_t kReadBytes = 128 * 1024;
/// The last nonce is reserved (Noise rev. 34, 5.1).
constexpr std::uint64_t kMaxFrames = std::numeric_limits<std::uint64_t>::max();

/// Hands out what is in `parts` piece by piece.
class Gatherer {
 public:
  explicit Gatherer(std::span<const BytesView> parts) : parts_(parts) {
    for (const auto part : parts) left_ += part.size();
  }

  std::size_t left() const { return left_; }

  /// The next `count` bytes, at most left(), as views.
  std::span<const BytesView> next(std::size_t count) {
    pieces_.clear();
    left_ -= count;
    while (count > 0) {
      const auto rest = parts_.front().subspan(offset_);
      const auto piece = rest.first(std::min(count, rest.size()));
      if (!piece.empty()) pieces_.push_back(piece);
      count -= piece.size();
      offset_ += piece.size();
      if (offset_ < parts_.front().size()) break;
      parts_ = parts_.subspan(1);
      offset_ = 0;
    }
    return pieces_;
  }

 private:
  std::span<const BytesView> parts_;
  std::size_t offset_ = 0;
  std::size_t left_ = 0;
  std::vector<BytesView> pieces_;
};

constexpr std::size_t sealed_size(std::size_t plain_bytes) {
  const auto frames = (plain_bytes + kMaxPlainBytes - 1) / kMaxPlainBytes;
  return plain_bytes + frames * (kLengthBytes + crypto::kTagBytes);
}

}  // namespace

NoiseChannel::NoiseChannel(std::unique_ptr<Stream> stream,
                           std::span<const std::uint8_t, 32> sending_key,
                           std::span<const std::uint8_t, 32> receiving_key)
    : stream_(std::move(stream)), sending_key_(sending_key), receiving_key_(receiving_key) {}

Task<> NoiseChannel::write(std::span<const BytesView> parts) {
  static_assert(sealed_size(kMaxWriteBytes) <= PooledBuffer::kBytes);
  Gatherer gatherer(parts);
  Bytes small;
  PooledBuffer large;
  while (gatherer.left() > 0) {
    const auto plain_bytes = std::min(gatherer.left(), max_write_bytes());
    const auto size = sealed_size(plain_bytes);
    if (size <= kSmallWriteBytes) {
      small.resize(size);
    } else if (!large) {
      large = PooledBuffer::borrow();
    }
    const auto out = (size <= kSmallWriteBytes ? std::span(small) : large.bytes()).first(size);
    for (auto rest = out; !rest.empty();) {
      if (sent_frames_ == kMaxFrames) co_return Errc::limit_reached;
      const auto frame = rest.first(std::min(rest.size(), kLengthBytes + kMaxMessageBytes));
      const auto message = frame.subspan(kLengthBytes);
      frame[0] = std::uint8_t(message.size() >> 8);
      frame[1] = std::uint8_t(message.size());
      const auto pieces = gatherer.next(message.size() - crypto::kTagBytes);
      sending_key_.seal(sent_frames_++, {}, pieces, message);
      rest = rest.subspan(frame.size());
    }
    PYRSIA_CO_TRY(co_await stream_->write_all(out));
  }
  co_return ok;
}

Task<BytesView> NoiseChannel::read() {
  for (;;) {
    const auto plain = open_next();
    if (!plain || !plain->empty()) co_return plain;
    PYRSIA_CO_TRY(co_await read_more());
  }
}

Result<BytesView> NoiseChannel::open_next() {
  while (in_end_ - in_begin_ >= kLengthBytes) {
    const auto sealed = in_.bytes().subspan(in_begin_, in_end_ - in_begin_);
    const auto size = std::size_t(sealed[0] << 8 | sealed[1]);
    if (sealed.size() < kLengthBytes + size) break;
    if (received_frames_ == kMaxFrames) return Errc::limit_reached;
    PYRSIA_TRY(const auto plain,
               receiving_key_.open(received_frames_++, {}, sealed.subspan(kLengthBytes, size)));
    in_begin_ += kLengthBytes + size;
    if (!plain.empty()) return BytesView(plain);
  }
  return BytesView();
}

Task<> NoiseChannel::read_more() {
  const auto left = in_end_ - in_begin_;
  if (left <= kMaxKeptBytes) {
    if (in_) kept_.assign(in_.bytes().data() + in_begin_, in_.bytes().data() + in_end_);
    in_.give_back();
    in_begin_ = in_end_ = 0;
    PYRSIA_CO_TRY(co_await stream_->wait_readable());
    in_ = PooledBuffer::borrow();
    std::ranges::copy(kept_, in_.bytes().begin());
    in_end_ = kept_.size();
    kept_ = Bytes();
  } else {
    std::copy_n(in_.bytes().data() + in_begin_, left, in_.bytes().data());
    in_begin_ = 0;
    in_end_ = left;
  }
  const auto room = in_.bytes().subspan(in_end_);
  const auto out = room.first(std::min(room.size(), kReadBytes));
  PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(out));
  if (read == 0) co_return Errc::closed;
  in_end_ += read;
  co_return ok;
}

}  // namespace pyrsia::secure::noise

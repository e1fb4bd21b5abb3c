#include "secure/noise/channel.hpp"

#include "secure/buffer_pool.hpp"
#include "secure/gatherer.hpp"
#include "secure/noise/state.hpp"

#include <algorithm>
#include <limits>

namespace pyrsia::secure::noise {
namespace {

constexpr std::size_t kLengthBytes = 2;
/// Sealed bytes up to which a write does without a pooled buffer.
constexpr std::size_t kSmallWriteBytes = 2048;
/// The last nonce is reserved (Noise rev. 34, 5.1).
constexpr std::uint64_t kMaxFrames = std::numeric_limits<std::uint64_t>::max();

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
    PYRSIA_CO_TRY(co_await in_.read_more(*stream_));
  }
}

Result<BytesView> NoiseChannel::open_next() {
  for (;;) {
    const auto sealed = in_.unread();
    if (sealed.size() < kLengthBytes) break;
    const auto size = std::size_t(sealed[0] << 8 | sealed[1]);
    if (sealed.size() < kLengthBytes + size) break;
    if (received_frames_ == kMaxFrames) return Errc::limit_reached;
    PYRSIA_TRY(const auto plain,
               receiving_key_.open(received_frames_++, {}, sealed.subspan(kLengthBytes, size)));
    in_.consume(kLengthBytes + size);
    if (!plain.empty()) return BytesView(plain);
  }
  return BytesView();
}

}  // namespace pyrsia::secure::noise

#pragma once

#include "secure/buffer_pool.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/stream.hpp>

#include <span>

namespace pyrsia::secure {

/// What a channel has received and not yet opened. In a pooled buffer while there is much of it;
/// the begin of a frame whose rest is waited for is kept in one of its size.
class SealedInput {
 public:
  /// To be opened in place. Valid until read_more().
  std::span<std::uint8_t> unread() const {
    return buffer_ ? buffer_.bytes().subspan(begin_, end_ - begin_) : std::span<std::uint8_t>();
  }
  void consume(std::size_t count) { begin_ += count; }

  /// Waits for more bytes behind those that are unread, which must be less than one full frame.
  /// A cancelled one loses none. Errors: `Errc::closed` (at the end too), those of the stream.
  Task<> read_more(Stream& stream);

 private:
  PooledBuffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Bytes kept_;
};

}  // namespace pyrsia::secure

#include "secure/sealed_input.hpp"

#include <algorithm>

namespace pyrsia::secure {
namespace {

/// Of a frame that is not complete, up to here the begin is moved to a buffer of its size.
constexpr std::size_t kMaxKeptBytes = 8 * 1024;
/// Read at most at once: more makes the bytes cold before they are opened.
constexpr std::size_t kReadBytes = 128 * 1024;

}  // namespace

Task<> SealedInput::read_more(Stream& stream) {
  const auto left = end_ - begin_;
  if (left <= kMaxKeptBytes) {
    if (buffer_) kept_.assign(buffer_.bytes().data() + begin_, buffer_.bytes().data() + end_);
    buffer_.give_back();
    begin_ = end_ = 0;
    PYRSIA_CO_TRY(co_await stream.wait_readable());
    buffer_ = PooledBuffer::borrow();
    std::ranges::copy(kept_, buffer_.bytes().begin());
    end_ = kept_.size();
    kept_ = Bytes();
  } else {
    std::copy_n(buffer_.bytes().data() + begin_, left, buffer_.bytes().data());
    begin_ = 0;
    end_ = left;
  }
  const auto room = buffer_.bytes().subspan(end_);
  const auto out = room.first(std::min(room.size(), kReadBytes));
  PYRSIA_CO_TRY(const auto read, co_await stream.read_some(out));
  if (read == 0) co_return Errc::closed;
  end_ += read;
  co_return ok;
}

}  // namespace pyrsia::secure

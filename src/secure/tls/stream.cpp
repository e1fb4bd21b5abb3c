#include "secure/tls/stream.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::secure::tls {

Task<> TlsStream::wait_readable() {
  if (!unread_.empty() || is_ended_) co_return ok;
  const auto bytes = co_await channel_.read();
  if (bytes) {
    unread_ = *bytes;
    co_return ok;
  }
  if (bytes.error() != Errc::closed) co_return bytes.error();
  is_ended_ = true;
  co_return ok;
}

Task<std::size_t> TlsStream::read_some(std::span<std::uint8_t> out) {
  PYRSIA_CO_TRY(co_await wait_readable());
  const auto count = std::min(out.size(), unread_.size());
  std::copy_n(unread_.begin(), count, out.begin());
  unread_ = unread_.subspan(count);
  co_return count;
}

Task<> TlsStream::write_all(BytesView bytes) {
  const std::array parts{bytes};
  co_return co_await write_all_parts(parts);
}

Task<> TlsStream::write_all_parts(std::span<const BytesView> parts) {
  if (is_write_closed_) co_return Errc::closed;
  co_return co_await channel_.write(parts);
}

Task<> TlsStream::close_write() {
  if (std::exchange(is_write_closed_, true)) co_return ok;
  co_return co_await channel_.finish();
}

}  // namespace pyrsia::secure::tls

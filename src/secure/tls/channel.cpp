#include "secure/tls/channel.hpp"

#include "secure/buffer_pool.hpp"
#include "secure/gatherer.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::secure::tls {
namespace {

/// Sealed bytes up to which a write does without a pooled buffer.
constexpr std::size_t kSmallWriteBytes = 2048;
/// Plaintext handed out at once, about: more makes the bytes cold before they are used.
constexpr std::size_t kBatchBytes = 64 * 1024;

constexpr std::size_t sealed_size(std::size_t plain_bytes) {
  const auto records = (plain_bytes + crypto::kTlsRecordBytes - 1) / crypto::kTlsRecordBytes;
  return plain_bytes + records * crypto::kTlsOverheadBytes + crypto::TlsSession::kSealRoomBytes;
}

/// One record from `pieces`. What lies in several is put together first.
Result<std::size_t> seal(crypto::TlsSession& session, std::span<const BytesView> pieces,
                         std::span<std::uint8_t> out) {
  if (pieces.size() == 1) return session.seal(pieces.front(), out);
  std::array<std::uint8_t, crypto::kTlsRecordBytes> joined;  // Not initialised: it is filled.
  std::size_t size = 0;
  for (const auto piece : pieces) {
    std::ranges::copy(piece, joined.begin() + std::ptrdiff_t(size));
    size += piece.size();
  }
  return session.seal(BytesView(joined).first(size), out);
}

/// All that is left in `gatherer`, up to `plain_bytes`, in as few records as possible.
Result<std::size_t> seal_all(crypto::TlsSession& session, Gatherer& gatherer,
                             std::size_t plain_bytes, std::span<std::uint8_t> out) {
  std::size_t written = 0;
  while (plain_bytes > 0) {
    const auto count = std::min(plain_bytes, crypto::kTlsRecordBytes);
    const auto pieces = gatherer.next(count);
    PYRSIA_TRY(const auto sealed, seal(session, pieces, out.subspan(written)));
    written += sealed;
    plain_bytes -= count;
  }
  return written;
}

}  // namespace

Task<> TlsChannel::write(std::span<const BytesView> parts) {
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
    const auto room = size <= kSmallWriteBytes ? std::span(small) : large.bytes();
    PYRSIA_CO_TRY(const auto written, seal_all(*session_, gatherer, plain_bytes, room));
    PYRSIA_CO_TRY(co_await stream_->write_all(room.first(written)));
  }
  co_return ok;
}

Task<> TlsChannel::finish() {
  Bytes last;
  session_->end(last);
  PYRSIA_CO_TRY(co_await stream_->write_all(last));
  co_return co_await stream_->close_write();
}

Task<BytesView> TlsChannel::read() {
  for (;;) {
    const auto plain = open_next();
    if (!plain || !plain->empty()) co_return plain;
    PYRSIA_CO_TRY(co_await in_.read_more(*stream_));
  }
}

Result<BytesView> TlsChannel::open_next() {
  if (failed_) return *failed_;
  auto* const begin = in_.unread().data();
  std::size_t size = 0;
  while (size < kBatchBytes) {
    const auto sealed = in_.unread();
    const auto record = crypto::tls_record_size(sealed);
    if (record && (*record == 0 || sealed.size() < *record)) break;
    auto opened = Result<std::size_t>(std::size_t(0));
    if (record) {
      // Plaintext takes the place of records that were taken: it is always shorter than they.
      opened = session_->open(sealed.first(*record), {begin + size, *record});
      in_.consume(*record);
    } else {
      opened = record.error();
    }
    if (!opened) {
      failed_ = opened.error();
      if (size == 0) return *failed_;
      break;
    }
    size += *opened;
  }
  return BytesView(begin, size);
}

}  // namespace pyrsia::secure::tls

#include "protocols/perf/exchange.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::perf {
namespace {

/// How many bytes are wanted, as a big-endian number of 64 bits.
using Order = std::array<std::uint8_t, 8>;

Order encode(std::uint64_t bytes) {
  Order order;
  for (int i = 7; i >= 0; --i, bytes >>= 8) order[std::size_t(i)] = std::uint8_t(bytes);
  return order;
}

std::uint64_t decode(const Order& order) {
  std::uint64_t bytes = 0;
  for (const auto byte : order) bytes = bytes << 8 | byte;
  return bytes;
}

Task<> send(Stream& stream, std::uint64_t byte_count, std::uint64_t& sent_bytes) {
  const Bytes block(static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, kBlockBytes)));
  for (auto left = byte_count; left > 0;) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
    PYRSIA_CO_TRY(co_await stream.write_all(BytesView(block).first(count)));
    left -= count;
    sent_bytes += count;
  }
  co_return co_await stream.close_write();
}

/// Takes all that comes, dropping it.
Task<> receive(Stream& stream, std::uint64_t& received_bytes) {
  Bytes block(kBlockBytes);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(block));
    if (count == 0) co_return ok;
    received_bytes += count;
  }
}

}  // namespace

Task<> run(Stream& stream, std::uint64_t upload_bytes, std::uint64_t download_bytes,
           Progress& progress) {
  const auto order = encode(download_bytes);
  PYRSIA_CO_TRY(co_await stream.write_all(order));
  PYRSIA_CO_TRY(co_await send(stream, upload_bytes, progress.uploaded_bytes));
  PYRSIA_CO_TRY(co_await receive(stream, progress.downloaded_bytes));
  if (progress.downloaded_bytes < download_bytes) co_return Errc::closed;
  if (progress.downloaded_bytes > download_bytes) co_return Errc::protocol_violation;
  co_return ok;
}

Task<> serve(Stream& stream, Progress& progress) {
  Order order;
  PYRSIA_CO_TRY(co_await read_exactly(stream, order));
  const auto wanted = decode(order);
  PYRSIA_CO_TRY(co_await receive(stream, progress.uploaded_bytes));
  co_return co_await send(stream, wanted, progress.downloaded_bytes);
}

}  // namespace pyrsia::perf

#include "echo.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <array>

namespace pyrsia::interop {
namespace {

constexpr std::uint32_t kModulus = 65521;
constexpr std::size_t kPatternBytes = 65521;  // Prime: parts in the wrong order change the sum.
constexpr std::size_t kReadBytes = 64 * 1024;

Bytes make_pattern() {
  Bytes pattern(kPatternBytes);
  std::uint32_t x = 2463534242;
  for (auto& byte : pattern) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    byte = static_cast<std::uint8_t>(x >> 24);
  }
  return pattern;
}

Task<> write_pattern(Stream& stream, std::uint64_t bytes, Adler32& sent) {
  const Bytes pattern = make_pattern();
  for (auto left = bytes; left > 0;) {
    const auto part = BytesView(pattern).first(std::min<std::uint64_t>(left, kPatternBytes));
    sent.update(part);
    PYRSIA_CO_TRY(co_await stream.write_all(part));
    left -= part.size();
  }
  co_return co_await stream.close_write();
}

Task<> write_all_or_reset(Stream& stream, std::uint64_t bytes, Adler32& sent) {
  auto written = co_await write_pattern(stream, bytes, sent);
  if (!written) stream.reset();  // So that the reader ends too.
  co_return written;
}

Task<> read_to_end(Stream& stream, Echoed& got) {
  Bytes buffer(kReadBytes);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(buffer));
    if (count == 0) co_return ok;
    const auto part = BytesView(buffer).first(count);
    got.bytes += count;
    got.sum.update(part);
  }
}

Task<> read_all_or_reset(Stream& stream, Echoed& got) {
  auto read = co_await read_to_end(stream, got);
  if (!read) stream.reset();  // So that the writer ends too.
  co_return read;
}

}  // namespace

void Adler32::update(BytesView bytes) {
  constexpr std::size_t kMostBeforeOverflow = 5552;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kMostBeforeOverflow));
    for (const auto byte : part) {
      a_ += byte;
      b_ += a_;
    }
    a_ %= kModulus;
    b_ %= kModulus;
    bytes = bytes.subspan(part.size());
  }
}

Task<> serve_echo(Stream& stream, Echoed& echoed) {
  Bytes buffer(kReadBytes);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(buffer));
    if (count == 0) co_return co_await stream.close_write();
    const auto part = BytesView(buffer).first(count);
    echoed.bytes += count;
    echoed.sum.update(part);
    PYRSIA_CO_TRY(co_await stream.write_all(part));
  }
}

Task<std::uint32_t> echo(Stream& stream, std::uint64_t bytes) {
  using namespace asio::experimental::awaitable_operators;
  Adler32 sent;
  Echoed got;
  auto writing = write_all_or_reset(stream, bytes, sent);
  auto reading = read_all_or_reset(stream, got);
  const auto [written, read] = co_await (std::move(writing) && std::move(reading));
  if (!written) co_return written.error();
  if (!read) co_return read.error();
  if (got.bytes != bytes || got.sum.value() != sent.value()) co_return Errc::protocol_violation;
  co_return got.sum.value();
}

}  // namespace pyrsia::interop

#include "protocols/identify/exchange.hpp"

#include "wire/finish.hpp"
#include "wire/frame.hpp"

namespace pyrsia::identify {
namespace {

/// All messages at their largest, with three bytes of length each.
constexpr std::size_t kMaxStreamBytes = kMaxMessages * (kMaxMessageBytes + 3);
constexpr std::size_t kReadBytes = 1024;

}  // namespace

Task<> send(Stream& stream, Bytes message) {
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, message));
  co_return co_await wire::finish(stream);
}

Task<Message> receive(Stream& stream) {
  Bytes bytes;
  for (;;) {
    const auto size = bytes.size();
    if (size > kMaxStreamBytes) co_return Errc::too_large;
    bytes.resize(size + kReadBytes);
    const auto free = std::span(bytes).subspan(size);
    const auto read = co_await stream.read_some(free);
    bytes.resize(size + (read ? *read : 0));
    if (read && *read > 0) continue;
    const bool is_dropped = !read && (read.error() == Errc::closed || read.error() == Errc::reset);
    if (!read && !(is_dropped && is_whole(bytes))) co_return read.error();
    // The peer has said all: whether it hears our end is no concern of ours.
    if (!is_dropped) static_cast<void>(co_await stream.close_write());
    co_return decode(bytes);
  }
}

}  // namespace pyrsia::identify

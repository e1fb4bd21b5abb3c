#include "transport/quic/frames.hpp"

#include <algorithm>

namespace pyrsia::transport::quic {
namespace {

enum Type : std::uint64_t {
  padding = 0x00,
  ping = 0x01,
  ack = 0x02,
  ack_ecn = 0x03,
  reset_stream = 0x04,
  stop_sending = 0x05,
  crypto = 0x06,
  new_token = 0x07,
  stream_first = 0x08,
  stream_last = 0x0f,
  max_data = 0x10,
  max_stream_data = 0x11,
  max_streams_bidi = 0x12,
  max_streams_uni = 0x13,
  data_blocked = 0x14,
  stream_data_blocked = 0x15,
  streams_blocked_bidi = 0x16,
  streams_blocked_uni = 0x17,
  new_connection_id = 0x18,
  retire_connection_id = 0x19,
  path_challenge = 0x1a,
  path_response = 0x1b,
  handshake_done = 0x1e,
};

constexpr std::uint64_t kHasOffset = 4;
constexpr std::uint64_t kHasLength = 2;
constexpr std::size_t kResetTokenBytes = 16;
constexpr std::size_t kChallengeBytes = 8;

/// Takes pieces from the front. Once one is missing, all are.
class Cursor {
 public:
  explicit Cursor(BytesView bytes) : rest_(bytes) {}

  std::uint64_t number() {
    if (rest_.empty()) return fail();
    const std::size_t size = std::size_t(1) << (rest_[0] >> 6);
    if (rest_.size() < size) return fail();
    std::uint64_t value = rest_[0] & 0x3f;
    for (std::size_t i = 1; i < size; ++i) value = value << 8 | rest_[i];
    rest_ = rest_.subspan(size);
    return value;
  }
  void numbers(std::uint64_t count) {
    for (; count > 0 && !has_failed_; --count) number();
  }
  void skip(std::uint64_t count) {
    if (count > rest_.size()) {
      fail();
    } else {
      rest_ = rest_.subspan(std::size_t(count));
    }
  }
  void skip_padding() {
    const auto end = std::ranges::find_if(rest_, [](std::uint8_t byte) { return byte != padding; });
    rest_ = rest_.subspan(std::size_t(end - rest_.begin()));
  }
  bool has_failed() const { return has_failed_; }
  BytesView rest() const { return rest_; }

 private:
  std::uint64_t fail() {
    has_failed_ = true;
    rest_ = {};
    return 0;
  }

  BytesView rest_;
  bool has_failed_ = false;
};

void skip_ack(Cursor& cursor, bool has_ecn) {
  cursor.numbers(2);
  const auto ranges = cursor.number();
  cursor.number();
  for (std::uint64_t i = 0; i < ranges && !cursor.has_failed(); ++i) cursor.numbers(2);
  if (has_ecn) cursor.numbers(3);
}

void skip_stream(Cursor& cursor, std::uint64_t type) {
  cursor.numbers((type & kHasOffset) != 0 ? 2 : 1);
  cursor.skip((type & kHasLength) != 0 ? cursor.number() : cursor.rest().size());
}

void skip_new_connection_id(Cursor& cursor) {
  cursor.numbers(2);
  if (cursor.rest().empty()) return cursor.skip(1);
  cursor.skip(1 + std::uint64_t(cursor.rest()[0]) + kResetTokenBytes);
}

/// Moves behind the body of a frame. False: nothing after it matters, or can be understood.
bool skip_frame(Cursor& cursor, std::uint64_t type) {
  if (type >= stream_first && type <= stream_last) {
    skip_stream(cursor, type);
    return !cursor.has_failed();
  }
  switch (type) {
    case padding: cursor.skip_padding(); break;
    case ping:
    case handshake_done: break;
    case ack:
    case ack_ecn: skip_ack(cursor, type == ack_ecn); break;
    case reset_stream: cursor.numbers(3); break;
    case crypto: cursor.number(); [[fallthrough]];
    case new_token: cursor.skip(cursor.number()); break;
    case max_stream_data:
    case stream_data_blocked: cursor.numbers(2); break;
    case max_data:
    case max_streams_bidi:
    case max_streams_uni:
    case data_blocked:
    case streams_blocked_bidi:
    case streams_blocked_uni:
    case retire_connection_id: cursor.number(); break;
    case new_connection_id: skip_new_connection_id(cursor); break;
    case path_challenge:
    case path_response: cursor.skip(kChallengeBytes); break;
    default: return false;  // A CONNECTION_CLOSE, too: nothing matters after that.
  }
  return !cursor.has_failed();
}

}  // namespace

std::optional<StopSending> next_stop_sending(BytesView& payload) {
  Cursor cursor(payload);
  while (!cursor.rest().empty()) {
    const auto type = cursor.number();
    if (type == stop_sending) {
      StopSending found;
      found.stream = static_cast<std::int64_t>(cursor.number());
      found.code = cursor.number();
      payload = cursor.rest();
      if (cursor.has_failed()) return std::nullopt;
      return found;
    }
    if (cursor.has_failed() || !skip_frame(cursor, type)) break;
  }
  payload = {};
  return std::nullopt;
}

}  // namespace pyrsia::transport::quic

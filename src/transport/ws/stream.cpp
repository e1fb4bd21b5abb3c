#include "transport/ws/stream.hpp"

#include "base/multibase.hpp"
#include "secure/gatherer.hpp"
#include "transport/ws/upgrade.hpp"
#include "wire/finish.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::transport::ws {
namespace {

/// 1000, normal closure (RFC 6455, 7.4.1).
constexpr std::array<std::uint8_t, 2> kNormalClosure = {0x03, 0xe8};

Task<std::string> read_head(wire::BufferedStream& stream) {
  for (std::size_t seen = 0; seen <= kMaxHeadBytes;) {
    PYRSIA_CO_TRY(const auto bytes, co_await stream.peek(seen));
    const auto size = head_size(bytes);
    if (size > kMaxHeadBytes) break;
    if (size > 0) {
      std::string head(as_text(bytes.first(size)));
      stream.skip(size);
      co_return head;
    }
    seen = bytes.size();
  }
  co_return Errc::too_large;
}

Task<> write_text(Stream& stream, std::string text) {
  co_return co_await stream.write_all(as_bytes(text));
}

Task<> refuse(Stream& stream, Error error) {
  PYRSIA_CO_TRY(co_await write_text(stream, refusal(error)));
  co_return co_await wire::finish(stream);
}

}  // namespace

/// The time in which somebody writes: others have to wait.
class WebSocket::Writing {
 public:
  explicit Writing(WebSocket& socket) : socket_(socket) { socket_.is_writing_ = true; }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() {
    socket_.is_writing_ = false;
    socket_.written_.notify();
  }

 private:
  WebSocket& socket_;
};

WebSocket::WebSocket(Env& env, std::unique_ptr<Stream> stream, Role role)
    : env_(env), stream_(std::move(stream)), role_(role), written_(env.executor()) {}

Task<> WebSocket::wait_readable() {
  PYRSIA_CO_TRY(co_await advance());
  if (is_ended_) co_return ok;
  co_return co_await stream_->wait_readable();
}

Task<std::size_t> WebSocket::read_some(std::span<std::uint8_t> out) {
  PYRSIA_CO_TRY(co_await advance());
  if (is_ended_) co_return std::size_t(0);
  const auto room = out.first(std::size_t(std::min<std::uint64_t>(out.size(), left_)));
  PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(room));
  if (read == 0) co_return Errc::closed;  // In the middle of a frame.
  if (frame_.mask) apply_mask(out.first(read), *frame_.mask, frame_.length - left_);
  left_ -= read;
  co_return read;
}

Task<> WebSocket::advance() {
  while (!is_ended_ && (left_ == 0 || is_control(frame_.opcode))) {
    if (!is_in_frame_ || (left_ == 0 && !is_control(frame_.opcode))) {
      PYRSIA_CO_TRY(co_await read_header());
      if (is_ended_) co_return ok;
    }
    if (is_control(frame_.opcode)) PYRSIA_CO_TRY(co_await read_control());
  }
  co_return ok;
}

Task<> WebSocket::read_header() {
  for (;;) {
    const auto wanted = header_size(header_);
    if (header_.size() == wanted) break;
    std::array<std::uint8_t, kMaxHeaderBytes> bytes;
    const auto room = std::span(bytes).first(wanted - header_.size());
    PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(room));
    if (read == 0 && header_.empty() && !is_in_message_) {
      is_ended_ = true;  // Without a close frame, but not in the middle of anything.
      co_return ok;
    }
    if (read == 0) co_return Errc::closed;
    header_.insert(header_.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(read));
  }
  const auto sender = role_ == Role::initiator ? Role::responder : Role::initiator;
  const auto header = decode_header(header_, sender);
  header_.clear();
  if (!header) co_return header.error();
  if (!is_control(header->opcode)) {
    if (is_in_message_ != (header->opcode == Opcode::continuation))
      co_return Errc::protocol_violation;
    is_in_message_ = !header->is_final;
  }
  frame_ = *header;
  left_ = header->length;
  is_in_frame_ = true;
  co_return ok;
}

Task<> WebSocket::read_control() {
  while (left_ > 0) {
    std::array<std::uint8_t, kMaxControlBytes> bytes;
    const auto room = std::span(bytes).first(std::size_t(left_));
    PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(room));
    if (read == 0) co_return Errc::closed;
    const auto payload = std::span(bytes).first(read);
    if (frame_.mask) apply_mask(payload, *frame_.mask, frame_.length - left_);
    control_.insert(control_.end(), payload.begin(), payload.end());
    left_ -= read;
  }
  is_in_frame_ = false;
  const auto payload = std::exchange(control_, Bytes());
  if (frame_.opcode == Opcode::pong) co_return ok;
  if (frame_.opcode == Opcode::close) {
    is_ended_ = true;
    if (is_closed_) co_return ok;
    // Of the reason only the number goes back (RFC 6455, 5.5.1).
    answer_ = control_frame(Opcode::close,
                            BytesView(payload).first(std::min<std::size_t>(2, payload.size())));
    is_closed_ = true;
  } else if (!is_closed_) {
    answer_ = control_frame(Opcode::pong, payload);
  }
  // Whoever writes now sends it after what he writes.
  if (answer_.empty() || is_writing_) co_return ok;
  const Writing writing(*this);
  const auto sent = co_await send_answer();
  // A peer that no longer reads may still have sent something.
  if (!sent && sent.error() == Errc::cancelled) co_return sent.error();
  co_return ok;
}

Task<> WebSocket::write_all(BytesView bytes) {
  const std::array<BytesView, 1> parts = {bytes};
  co_return co_await write_all_parts(parts);
}

Task<> WebSocket::write_all_parts(std::span<const BytesView> parts) {
  while (is_writing_) PYRSIA_CO_TRY(co_await written_.wait());
  if (is_closed_) co_return Errc::closed;
  const Writing writing(*this);
  PYRSIA_CO_TRY(co_await send(parts));
  co_return co_await send_answer();
}

Task<> WebSocket::send(std::span<const BytesView> parts) {
  secure::Gatherer gatherer(parts);
  while (gatherer.left() > 0) {
    FrameHeader header;
    header.length = std::min(gatherer.left(), kMaxPayloadBytes);
    if (role_ == Role::initiator) header.mask = next_mask();
    auto bytes = encode_header(header);
    const auto pieces = gatherer.next(std::size_t(header.length));
    if (role_ == Role::initiator) {
      const auto begin = bytes.size();
      bytes.reserve(begin + std::size_t(header.length));
      for (const auto piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
      apply_mask(std::span(bytes).subspan(begin), *header.mask, 0);
      PYRSIA_CO_TRY(co_await stream_->write_all(bytes));
    } else {
      std::vector<BytesView> all;
      all.reserve(pieces.size() + 1);
      all.emplace_back(bytes);
      all.insert(all.end(), pieces.begin(), pieces.end());
      PYRSIA_CO_TRY(co_await stream_->write_all_parts(all));
    }
  }
  co_return ok;
}

Task<> WebSocket::send_answer() {
  if (answer_.empty()) co_return ok;
  const auto bytes = std::exchange(answer_, Bytes());
  co_return co_await stream_->write_all(bytes);
}

Task<> WebSocket::close_write() {
  while (is_writing_) PYRSIA_CO_TRY(co_await written_.wait());
  if (!is_closed_) {
    is_closed_ = true;
    const Writing writing(*this);
    const auto bytes = control_frame(Opcode::close, kNormalClosure);
    PYRSIA_CO_TRY(co_await stream_->write_all(bytes));
  }
  co_return co_await stream_->close_write();
}

Bytes WebSocket::control_frame(Opcode opcode, BytesView payload) {
  FrameHeader header;
  header.opcode = opcode;
  header.length = payload.size();
  if (role_ == Role::initiator) header.mask = next_mask();
  auto bytes = encode_header(header);
  const auto begin = bytes.size();
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  if (header.mask) apply_mask(std::span(bytes).subspan(begin), *header.mask, 0);
  return bytes;
}

Mask WebSocket::next_mask() {
  Mask mask;
  env_.random(mask);
  return mask;
}

Task<std::unique_ptr<Stream>> connect(Env& env, std::unique_ptr<wire::BufferedStream> stream,
                                      std::string host, std::string path) {
  std::array<std::uint8_t, 16> random;
  env.random(random);
  const auto key = to_base64(random);
  PYRSIA_CO_TRY(co_await write_text(*stream, upgrade_request(host, path, key)));
  PYRSIA_CO_TRY(const auto head, co_await read_head(*stream));
  PYRSIA_CO_TRY(check_response(head, key));
  std::unique_ptr<Stream> socket =
      std::make_unique<WebSocket>(env, std::move(stream), Role::initiator);
  co_return socket;
}

Task<std::unique_ptr<Stream>> accept(Env& env, std::unique_ptr<wire::BufferedStream> stream) {
  const auto head = co_await read_head(*stream);
  const auto key = head ? read_request(*head) : Result<std::string>(head.error());
  if (!key) {
    const auto error = key.error();
    const bool is_told = error == Errc::malformed || error == Errc::protocol_violation ||
                         error == Errc::not_supported || error == Errc::too_large;
    if (is_told) (void)co_await refuse(*stream, error);
    co_return error;
  }
  PYRSIA_CO_TRY(co_await write_text(*stream, upgrade_response(*key)));
  std::unique_ptr<Stream> socket =
      std::make_unique<WebSocket>(env, std::move(stream), Role::responder);
  co_return socket;
}

}  // namespace pyrsia::transport::ws

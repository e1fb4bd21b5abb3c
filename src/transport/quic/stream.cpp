#include "transport/quic/stream.hpp"

#include "transport/quic/session.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia::transport::quic {

/// The time in which a stream may put bytes where its caller wants them.
class PendingRead {
 public:
  PendingRead(QuicStream& stream, std::span<std::uint8_t> out) : stream_(stream) {
    assert(stream.read_out_.empty());
    stream.read_out_ = out;
  }
  PendingRead(const PendingRead&) = delete;
  PendingRead& operator=(const PendingRead&) = delete;
  ~PendingRead() {
    stream_.read_out_ = {};
    stream_.read_count_ = 0;
  }

 private:
  QuicStream& stream_;
};

QuicStream::QuicStream(Session& session, StreamState& state, bool is_inbound)
    : session_(&session),
      state_(&state),
      is_inbound_(is_inbound),
      readable_(session.executor()),
      writable_(session.executor()) {
  state.user = this;
}

QuicStream::~QuicStream() {
  if (!session_) return;
  if (state_) {
    state_->user = nullptr;
    if (!state_->is_fin_wanted && !state_->is_write_shut) {
      session_->reset_stream(*state_, ResetCode::none);
    } else if (!is_finished_ && !state_->is_read_shut) {
      session_->stop_reading(*state_, ResetCode::none);
    }
  }
  // Unread bytes hold the window of the connection.
  session_->consumed(nullptr, chunks_.size());
  session_->remove_user(is_inbound_, state_ == nullptr);
}

Task<> QuicStream::wait_readable() {
  while (!is_readable()) PYRSIA_CO_TRY(co_await readable_.wait());
  if (chunks_.empty() && !is_finished_) co_return read_failure_;
  co_return ok;
}

Task<std::size_t> QuicStream::read_some(std::span<std::uint8_t> out) {
  if (!is_readable()) {
    const PendingRead pending(*this, out);
    while (read_count_ == 0 && !is_readable()) {
      const auto woken = co_await readable_.wait();
      // Bytes that came between the cancellation and this turn are handed over all the same.
      if (!woken && read_count_ == 0) co_return woken.error();
    }
    if (read_count_ > 0) co_return read_count_;
  }
  if (const auto count = chunks_.pop(out)) {
    consumed(count);
    co_return count;
  }
  if (is_finished_) co_return std::size_t(0);
  co_return read_failure_;
}

Task<> QuicStream::write_all(BytesView bytes) {
  const std::array<BytesView, 1> parts = {bytes};
  co_return co_await write_all_parts(parts);
}

Task<> QuicStream::write_all_parts(std::span<const BytesView> parts) {
  for (const auto part : parts) PYRSIA_CO_TRY(co_await append(part));
  if (write_failure_) co_return write_failure_;
  if (is_write_closed_) co_return Errc::closed;
  co_return ok;
}

Task<> QuicStream::append(BytesView bytes) {
  while (!bytes.empty()) {
    if (write_failure_) co_return write_failure_;
    if (is_write_closed_) co_return Errc::closed;
    const auto room = session_->room_for(*state_);
    if (room == 0) {
      is_writing_ = true;
      const auto woken = co_await writable_.wait();
      is_writing_ = false;
      PYRSIA_CO_TRY(woken);
      continue;
    }
    const auto count = std::min(room, bytes.size());
    session_->write(*state_, bytes.first(count));
    bytes = bytes.subspan(count);
  }
  co_return ok;
}

Task<> QuicStream::close_write() {
  if (is_write_closed_) co_return ok;
  // A peer that has read enough, and said so, misses nothing.
  if (is_stopped_) {
    is_write_closed_ = true;
    co_return ok;
  }
  if (write_failure_) co_return write_failure_;
  is_write_closed_ = true;
  session_->finish(*state_);
  co_return ok;
}

void QuicStream::reset(ResetCode code) noexcept {
  const bool is_dead = !session_ || (write_failure_ && read_failure_);
  if (!is_dead && state_) session_->reset_stream(*state_, code);
  if (session_) session_->consumed(nullptr, chunks_.size());
  chunks_.clear();
  is_finished_ = false;
  if (!read_failure_) read_failure_ = Errc::closed;
  if (!write_failure_) write_failure_ = Errc::closed;
  is_write_closed_ = true;
  readable_.notify();
  writable_.notify();
}

void QuicStream::on_data(BytesView bytes) {
  const auto count = std::min(bytes.size(), read_out_.size() - read_count_);
  if (count > 0) {
    std::copy_n(bytes.begin(), count, read_out_.begin() + std::ptrdiff_t(read_count_));
    read_count_ += count;
    readable_.notify();
    consumed(count);
  }
  const auto rest = bytes.subspan(count);
  if (rest.empty()) return;
  chunks_.push(rest);
  readable_.notify();
}

void QuicStream::on_finished() {
  is_finished_ = true;
  readable_.notify();
}

void QuicStream::on_peer_reset(std::uint64_t code) {
  if (!reset_code_) reset_code_ = code;
  // What came before may be all that the reader needs.
  if (!is_finished_ && !read_failure_) read_failure_ = Errc::reset;
  // Whoever resets a stream mostly asks us to stop, too: together that is more than an orderly end.
  if (!write_failure_ || is_stopped_) write_failure_ = Errc::reset;
  is_stopped_ = false;
  readable_.notify();
  writable_.notify();
}

void QuicStream::on_stop_sending(std::optional<std::uint64_t> code) {
  if (!stop_code_) stop_code_ = code;
  // go's Close() asks for it when it has read what it wanted: no failure of anybody.
  if (!write_failure_) {
    write_failure_ = Errc::closed;
    is_stopped_ = true;
  }
  writable_.notify();
}

void QuicStream::on_state_gone() {
  state_ = nullptr;
  // Our side has ended. If it was not us, the peer had asked for it.
  if (!is_write_closed_) on_stop_sending(std::nullopt);
  if (!is_finished_ && !read_failure_) read_failure_ = Errc::reset;
  readable_.notify();
  writable_.notify();
}

void QuicStream::on_session_end() {
  session_ = nullptr;
  state_ = nullptr;
  if (!read_failure_) read_failure_ = Errc::closed;
  if (!write_failure_) write_failure_ = Errc::closed;
  readable_.notify();
  writable_.notify();
}

void QuicStream::consumed(std::size_t count) {
  if (session_) session_->consumed(state_, count);
}

}  // namespace pyrsia::transport::quic

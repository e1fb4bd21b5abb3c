#include "mux/yamux/stream.hpp"

#include "mux/yamux/session_state.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia::mux::yamux {

/// The time in which a stream may take bytes from its caller.
class PendingWrite {
 public:
  PendingWrite(YamuxStream& stream, std::span<const BytesView> parts) : stream_(stream) {
    assert(stream.write_bytes_ == 0);
    stream.write_parts_ = parts;
    stream.write_offset_ = 0;
    for (const auto part : parts) stream.write_bytes_ += part.size();
  }
  PendingWrite(const PendingWrite&) = delete;
  PendingWrite& operator=(const PendingWrite&) = delete;
  ~PendingWrite() {
    stream_.write_bytes_ = 0;
    stream_.write_parts_ = {};
    stream_.unlink();
  }

 private:
  YamuxStream& stream_;
};

/// The time in which a stream may put bytes where its caller wants them.
class PendingRead {
 public:
  PendingRead(YamuxStream& stream, std::span<std::uint8_t> out) : stream_(stream) {
    assert(stream.read_out_.empty());
    stream.read_out_ = out;
  }
  PendingRead(const PendingRead&) = delete;
  PendingRead& operator=(const PendingRead&) = delete;
  ~PendingRead() {
    if (stream_.session_ && stream_.read_count_ > 0 &&
        stream_.read_count_ == stream_.read_out_.size())
      stream_.session_->on_full_reader_resumed();
    stream_.read_out_ = {};
    stream_.read_count_ = 0;
  }

 private:
  YamuxStream& stream_;
};

YamuxStream::YamuxStream(Session& session, std::uint32_t id, bool is_inbound)
    : session_(&session),
      id_(id),
      is_inbound_(is_inbound),
      receive_window_(session.window_budget(), session.config().max_window_bytes),
      readable_(session.executor()),
      writable_(session.executor()) {
  session.add(*this);
}

YamuxStream::~YamuxStream() {
  if (!session_) return;
  if (!failure_ && !(is_write_closed_ && is_finished_)) reset(ResetCode::none);
  session_->release_buffered(chunks_.size());
  session_->remove(*this);
}

Task<> YamuxStream::wait_readable() {
  while (!is_readable()) PYRSIA_CO_TRY(co_await readable_.wait());
  if (chunks_.empty() && !is_finished_) co_return failure_;
  co_return ok;
}

Task<std::size_t> YamuxStream::read_some(std::span<std::uint8_t> out) {
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
    if (session_) session_->release_buffered(count);
    consumed(count);
    co_return count;
  }
  if (is_finished_) co_return std::size_t(0);
  co_return failure_;
}

Task<> YamuxStream::write_all(BytesView bytes) {
  const std::array<BytesView, 1> parts = {bytes};
  co_return co_await write_all_parts(parts);
}

Task<> YamuxStream::write_all_parts(std::span<const BytesView> parts) {
  if (failure_) co_return failure_;
  if (is_write_closed_) co_return Errc::closed;
  const PendingWrite pending(*this, parts);
  offer_to_writer();
  while (write_bytes_ > 0) {
    PYRSIA_CO_TRY(co_await writable_.wait());
    if (failure_) co_return failure_;
  }
  co_return ok;
}

Task<> YamuxStream::close_write() {
  if (is_write_closed_) co_return ok;
  if (failure_) co_return failure_;
  is_write_closed_ = true;
  session_->send_control({Type::window_update, kFin, id_, 0});
  co_return ok;
}

void YamuxStream::reset(ResetCode code) noexcept {
  if (failure_) return;
  session_->release_buffered(chunks_.size());
  chunks_.clear();
  is_finished_ = false;
  session_->send_control({Type::window_update, kRst, id_, std::uint32_t(code)});
  fail(Errc::closed);
}

Result<> YamuxStream::on_grant(std::uint32_t delta) {
  PYRSIA_TRY(send_window_.grant(delta));
  offer_to_writer();
  return ok;
}

bool YamuxStream::on_data_announced(std::uint32_t count) {
  return receive_window_.receive(count);
}

void YamuxStream::on_data(BytesView bytes) {
  if (failure_) return;
  const auto count = std::min(bytes.size(), read_out_.size() - read_count_);
  if (count > 0) {
    std::copy_n(bytes.begin(), count, read_out_.begin() + std::ptrdiff_t(read_count_));
    read_count_ += count;
    if (read_count_ == read_out_.size()) session_->wait_for_full_reader();
    readable_.notify();
    consumed(count);
  }
  const auto rest = bytes.subspan(count);
  if (rest.empty()) return;
  if (!session_->hold_buffered(rest.size())) {
    reset(ResetCode::resource_limit);
    return;
  }
  chunks_.push(rest);
  readable_.notify();
}

void YamuxStream::on_finished() {
  if (failure_) return;
  is_finished_ = true;
  readable_.notify();
}

void YamuxStream::on_reset(std::optional<std::uint32_t> code) {
  if (!failure_) reset_code_ = code;
  // What came before may be all that the reader needs: some peers end every stream so.
  fail(Errc::reset);
}

void YamuxStream::on_session_end() {
  fail(Errc::closed);
  receive_window_.release();
  session_ = nullptr;
}

std::size_t YamuxStream::sendable_bytes() const {
  return std::min<std::size_t>(write_bytes_, send_window_.bytes());
}

void YamuxStream::take(std::size_t count, std::vector<BytesView>& parts) {
  send_window_.take(std::uint32_t(count));
  write_bytes_ -= count;
  while (count > 0) {
    const auto rest = write_parts_.front().subspan(write_offset_);
    const auto taken = rest.first(std::min(count, rest.size()));
    if (!taken.empty()) parts.push_back(taken);
    count -= taken.size();
    write_offset_ += taken.size();
    if (taken.size() < rest.size()) break;
    write_parts_ = write_parts_.subspan(1);
    write_offset_ = 0;
  }
  if (write_bytes_ == 0) {
    writable_.notify();
  } else {
    offer_to_writer();
  }
}

void YamuxStream::fail(Error failure) {
  if (!failure_) failure_ = failure;
  unlink();
  readable_.notify();
  writable_.notify();
}

void YamuxStream::consumed(std::size_t count) {
  if (!session_ || failure_) return;
  const auto delta =
      receive_window_.consume(std::uint32_t(count), session_->now(), session_->round_trip());
  if (delta == 0 || is_finished_) return;
  session_->send_control({Type::window_update, 0, id_, delta});
  if (!session_->round_trip()) session_->measure_round_trip();
}

void YamuxStream::offer_to_writer() {
  if (!failure_ && sendable_bytes() > 0) session_->enqueue(*this);
}

}  // namespace pyrsia::mux::yamux

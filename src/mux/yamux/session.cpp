#include "mux/yamux/session.hpp"

#include "mux/yamux/session_state.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cassert>

namespace pyrsia::mux::yamux {
namespace {

/// Ids above this are not given out: a connection that opened a thousand million streams is old.
constexpr std::uint32_t kMaxStreamId = 0x7fffffff;
/// Control frames, in bytes, above which nothing more is read from a peer that takes none.
constexpr std::size_t kMaxControlBytes = 16 * 1024;
/// Pings that are answered at once; more are dropped (as go-yamux does).
constexpr int kMaxPongs = 32;
/// Data frames in one batch: small writes of as many streams leave together.
constexpr std::size_t kMaxBatchFrames = 64;
/// A data frame is not begun for less room than this in a batch.
constexpr std::size_t kMinFrameBytes = 1024;

}  // namespace

/// The bytes of one write to the channel.
struct Session::Batch {
  Bytes control;
  std::array<HeaderBytes, kMaxBatchFrames> headers;
  std::size_t frame_count = 0;
  std::size_t bytes = 0;
  std::vector<BytesView> parts;
};

/// The place of an open_stream() in the queue; whoever leaves it wakes the next.
class Session::Turn {
 public:
  Turn(Session& session, Opener& opener) : session_(session), opener_(opener) {
    session.openers_.push_back(opener);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (opener_.is_over) return;
    opener_.unlink();
    session_.wake_opener();
  }

 private:
  Session& session_;
  Opener& opener_;
};

Session::Session(Env& env, std::unique_ptr<secure::Channel> channel, Role role,
                 const Config& config, Metrics& metrics)
    : env_(env),
      channel_(std::move(channel)),
      role_(role),
      config_(config),
      metrics_(metrics),
      next_id_(role == Role::initiator ? 1 : 2),
      window_budget_(config.max_buffered_bytes / 2),
      control_sent_(env.executor()),
      readers_resumed_(env.executor()),
      last_heard_(env.now()),
      tasks_(env) {}

Session::~Session() {
  for (auto& opener : openers_) opener.is_over = true;
  openers_.clear();
  for (const auto& [id, stream] : streams_) stream->on_session_end();
}

Task<> Session::run(StreamSink& sink) {
  // A cancellation must come as a value: after it, the writer has still to be joined.
  co_await asio::this_coro::throw_if_cancelled(false);
  sink_ = &sink;
  start_writer();
  const auto served = co_await serve();
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (served.error() == Errc::protocol_violation || served.error() == Errc::malformed) {
    metrics_.protocol_errors.add();
    end(served.error(), GoAway::protocol_error);
  } else {
    end(served.error(), std::nullopt);
  }
  PYRSIA_CO_TRY(co_await tasks_.join());
  sink_ = nullptr;
  for (auto& opener : openers_) {
    opener.is_over = true;
    opener.turn.notify();
  }
  openers_.clear();
  for (const auto& [id, stream] : streams_) stream->on_session_end();
  streams_.clear();
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_await asio::this_coro::throw_if_cancelled(true);
  co_return end_;
}

Task<> Session::serve() {
  while (!end_) {
    const auto bytes = co_await channel_->read();
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
    if (!bytes) co_return bytes.error();
    last_heard_ = env_.now();
    PYRSIA_CO_TRY(receive(*bytes));
    // A peer that makes us answer but does not read is not listened to.
    while (control_.size() > kMaxControlBytes && !end_)
      PYRSIA_CO_TRY(co_await control_sent_.wait());
    // To go on now would cost these readers a second copy of their bytes.
    while (full_reader_count_ > 0 && !end_) PYRSIA_CO_TRY(co_await readers_resumed_.wait());
  }
  co_return end_;
}

Task<std::unique_ptr<Stream>> Session::open_stream() {
  if (end_) co_return Errc::closed;
  const auto outbound_count = streams_.size() - inbound_count_;
  if (outbound_count >= config_.max_outbound_streams) co_return Errc::limit_reached;
  if (!may_open() || !openers_.empty()) {
    Opener opener(env_.executor());
    const Turn turn(*this, opener);
    while (!may_open() || &openers_.front() != &opener) {
      PYRSIA_CO_TRY(co_await opener.turn.wait());
      if (opener.is_over || end_) co_return Errc::closed;
    }
  }
  if (next_id_ > kMaxStreamId || streams_.size() - inbound_count_ >= config_.max_outbound_streams)
    co_return Errc::limit_reached;
  const auto id = next_id_;
  next_id_ += 2;
  // It leaves together with the first data, if that is written before the next turn.
  send_control({Type::window_update, kSyn, id, 0});
  metrics_.streams_opened.add();
  co_return std::make_unique<YamuxStream>(*this, id, false);
}

void Session::close(GoAway reason) noexcept {
  end(reason == GoAway::protocol_error ? Errc::protocol_violation : Errc::closed, reason);
}

void Session::end(Error reason, std::optional<GoAway> goodbye) {
  if (end_) return;
  end_ = reason;
  wake_opener();
  control_sent_.notify();
  const bool is_in_a_write = is_writing_ && !is_gathering_;
  if (!sink_ || is_in_a_write || !goodbye) {
    channel_->abort();
    return;
  }
  send_control({Type::go_away, 0, 0, std::uint32_t(*goodbye)});
  tasks_.spawn(abort_soon());
}

Task<> Session::abort_soon() {
  const auto slept = co_await env_.sleep_for(Duration(0));
  channel_->abort();
  co_return slept;
}

void Session::tick(TimePoint now) {
  if (!sink_ || end_) return;
  // A peer may go on sending, and so seem alive, but read nothing.
  if (is_writing_ && now - write_began_ >= config_.write_timeout) {
    metrics_.write_timeouts.add();
    end(Errc::timed_out, std::nullopt);
    return;
  }
  if (!pinged_at_) {
    if (now - last_heard_ >= config_.keep_alive_interval) ping();
    return;
  }
  if (now - std::max(*pinged_at_, last_heard_) < config_.keep_alive_timeout) return;
  metrics_.keep_alive_timeouts.add();
  end(Errc::timed_out, std::nullopt);
}

void Session::add(YamuxStream& stream) {
  streams_.emplace(stream.id(), &stream);
  if (stream.is_inbound()) {
    ++inbound_count_;
  } else {
    ++unacknowledged_count_;
  }
}

void Session::remove(YamuxStream& stream) {
  streams_.erase(stream.id());
  if (stream.is_inbound()) {
    --inbound_count_;
  } else {
    acknowledge(stream);
  }
}

void Session::enqueue(YamuxStream& stream) {
  if (end_) return;
  if (!stream.is_linked()) writers_.push_back(stream);
  start_writer();
}

void Session::send_control(const Header& header) {
  const auto bytes = encode(header);
  control_.insert(control_.end(), bytes.begin(), bytes.end());
  start_writer();
}

void Session::measure_round_trip() {
  if (!pinged_at_) ping();
}

std::optional<Duration> Session::round_trip_since(TimePoint since) const {
  return round_trip_at_ >= since ? round_trip_ : std::nullopt;
}

void Session::ping() {
  pinged_at_ = env_.now();
  send_control({Type::ping, kSyn, 0, ++ping_});
}

bool Session::hold_buffered(std::size_t bytes) {
  if (buffered_bytes_ + bytes > config_.max_buffered_bytes) {
    metrics_.streams_over_buffer.add();
    return false;
  }
  buffered_bytes_ += bytes;
  return true;
}

void Session::on_full_reader_resumed() {
  if (--full_reader_count_ == 0) readers_resumed_.notify();
}

void Session::wake_opener() {
  if (end_) {
    for (auto& opener : openers_) opener.turn.notify();
  } else if (!openers_.empty() && may_open()) {
    openers_.front().turn.notify();
  }
}

void Session::start_writer() {
  if (is_writing_ || !sink_ || (control_.empty() && writers_.empty())) return;
  is_writing_ = true;
  write_began_ = env_.now();
  tasks_.spawn(write_all());
}

Task<> Session::write_all() {
  // What the tasks that run now have to say, all of them, leaves in one write.
  is_gathering_ = true;
  Result<> written = co_await env_.sleep_for(Duration(0));
  is_gathering_ = false;
  Batch batch;
  while (written && !(control_.empty() && writers_.empty())) {
    fill(batch);
    write_began_ = env_.now();
    // The channel seals the data at once, so that its callers may already go on.
    written = co_await channel_->write(batch.parts);
    control_sent_.notify();
  }
  is_writing_ = false;
  if (!written) end(written.error(), std::nullopt);
  co_return written;
}

void Session::fill(Batch& batch) {
  batch.control.clear();
  std::swap(batch.control, control_);
  pongs_ = 0;
  batch.frame_count = 0;
  batch.parts.clear();
  batch.bytes = batch.control.size();
  if (!batch.control.empty()) batch.parts.emplace_back(batch.control);
  const auto max_body =
      std::min(config_.max_frame_bytes, channel_->max_frame_bytes() - kHeaderBytes);
  const auto limit = channel_->max_write_bytes();
  while (!writers_.empty() && batch.frame_count < kMaxBatchFrames) {
    auto& stream = writers_.front();
    const auto wanted = std::min(stream.sendable_bytes(), max_body);
    const auto room = limit - std::min(limit, batch.bytes + kHeaderBytes);
    if (room < std::min(wanted, kMinFrameBytes)) break;
    writers_.pop_front();
    const auto count = std::min(wanted, room);
    auto& header = batch.headers[batch.frame_count++];
    header = encode({Type::data, 0, stream.id(), std::uint32_t(count)});
    batch.parts.emplace_back(header);
    stream.take(count, batch.parts);
    batch.bytes += kHeaderBytes + count;
  }
}

std::unique_ptr<Muxer> make_session(Env& env, std::unique_ptr<secure::Channel> channel, Role role,
                                    const Config& config, Metrics& metrics) {
  return std::make_unique<Session>(env, std::move(channel), role, config, metrics);
}

Result<> Session::receive(BytesView bytes) {
  while (!bytes.empty() && !end_) {
    if (body_left_ > 0) {
      const auto count = std::min<std::size_t>(bytes.size(), body_left_);
      if (auto* const stream = find(frame_.stream_id)) stream->on_data(bytes.first(count));
      body_left_ -= std::uint32_t(count);
      bytes = bytes.subspan(count);
      if (body_left_ == 0) on_frame_end();
      continue;
    }
    const auto count = std::min(bytes.size(), kHeaderBytes - header_count_);
    std::copy_n(bytes.begin(), count, header_.begin() + std::ptrdiff_t(header_count_));
    header_count_ += count;
    bytes = bytes.subspan(count);
    if (header_count_ < kHeaderBytes) break;
    header_count_ = 0;
    PYRSIA_TRY(frame_, decode(header_));
    PYRSIA_TRY(on_frame());
  }
  return ok;
}

Result<> Session::on_frame() {
  switch (frame_.type) {
    case Type::ping: on_ping(); return ok;
    case Type::go_away: end(Errc::closed, std::nullopt); return ok;
    default: return on_stream_frame();
  }
}

Result<> Session::on_stream_frame() {
  if (frame_.stream_id == 0) return Errc::protocol_violation;
  if (frame_.has(kSyn)) PYRSIA_TRY(accept());
  auto* const stream = find(frame_.stream_id);
  // Nor does the frame concern a stream that we open under this id before its body has come.
  if (!stream) frame_.stream_id = 0;
  if (stream && frame_.has(kAck)) acknowledge(*stream);
  if (frame_.type == Type::data) {
    // A stream that we no longer know is one that we dropped: its bytes are skipped.
    if (stream && !stream->on_data_announced(frame_.length)) return Errc::protocol_violation;
    body_left_ = frame_.length;
    if (body_left_ == 0) on_frame_end();
    return ok;
  }
  if (stream && !frame_.has(kRst)) PYRSIA_TRY(stream->on_grant(frame_.length));
  on_frame_end();
  return ok;
}

void Session::on_frame_end() {
  auto* const stream = find(frame_.stream_id);
  if (!stream) return;
  if (frame_.has(kFin)) stream->on_finished();
  if (!frame_.has(kRst)) return;
  // The length of a window update without a window: libp2p/specs, error-codes.
  const bool has_code = frame_.type == Type::window_update;
  stream->on_reset(has_code ? std::optional(frame_.length) : std::nullopt);
  acknowledge(*stream);
}

Result<> Session::accept() {
  const auto id = frame_.stream_id;
  const bool is_odd = id % 2 == 1;
  const bool is_peers = is_odd == (role_ == Role::responder);
  if (!is_peers || find(id)) return Errc::protocol_violation;
  if (inbound_count_ >= config_.max_inbound_streams) {
    metrics_.streams_refused.add();
    send_control({Type::window_update, kRst, id, std::uint32_t(ResetCode::resource_limit)});
    return ok;
  }
  // At once, even if nobody answers on it for long: go-libp2p stops at 256 that are not.
  send_control({Type::window_update, kAck, id, 0});
  metrics_.streams_accepted.add();
  sink_->on_stream(std::make_unique<YamuxStream>(*this, id, true));
  return ok;
}

void Session::on_ping() {
  if (frame_.has(kAck)) {
    if (!pinged_at_ || frame_.length != ping_) return;
    round_trip_at_ = env_.now();
    round_trip_ = round_trip_at_ - *pinged_at_;
    pinged_at_.reset();
  } else if (frame_.has(kSyn)) {
    if (pongs_ >= kMaxPongs) {
      metrics_.pings_dropped.add();
      return;
    }
    ++pongs_;
    send_control({Type::ping, kAck, 0, frame_.length});
  }
}

void Session::acknowledge(YamuxStream& stream) {
  if (stream.is_inbound() || stream.is_acknowledged()) return;
  stream.on_acknowledged();
  --unacknowledged_count_;
  wake_opener();
}

YamuxStream* Session::find(std::uint32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

}  // namespace pyrsia::mux::yamux

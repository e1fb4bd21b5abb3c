/// What a session does for its streams, and how packets are made of what they have.
#include "transport/quic/path.hpp"
#include "transport/quic/port.hpp"
#include "transport/quic/session.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::transport::quic {
namespace {

constexpr std::size_t kMaxPieces = 8;
/// Consumed bytes that the peer is told of without waiting for another reason to write.
constexpr std::size_t kReportBytes = std::size_t(64) << 10;

/// As much may be on its way in one burst: the initial window of RFC 9002, 7.2. Pacing it would
/// cost the first requests of a connection a good part of a round trip.
constexpr std::uint64_t kBurstBytes = std::uint64_t(10) * 1200;
/// On shorter paths the gaps would be finer than timers are.
constexpr ngtcp2_duration kFinestPacing = 2 * NGTCP2_MILLISECONDS;
/// Every path carries this: RFC 9000, 14.
constexpr std::size_t kSmallPayloadBytes = NGTCP2_MAX_UDP_PAYLOAD_SIZE;
/// Our limit: probe timeouts without progress after which large packets are given up.
constexpr int kBlackHoleProbes = 3;
/// RFC 8899, 5.1.1: PMTU_RAISE_TIMER.
constexpr Duration kSmallTime = std::chrono::minutes(10);

}  // namespace

/// Packets of one size for one destination, which leave in one call.
class Session::Train {
 public:
  Train(Port& port, bool has_source)
      : port_(port), space_(port.send_space()), source_(has_source) {}

  /// Where the next packet goes, at most `size` bytes.
  std::span<std::uint8_t> next(std::size_t size) {
    if (end_ - begin_ + size > kMaxDatagramBytes) send();
    if (end_ + size > space_.size()) {
      send();
      begin_ = end_ = 0;
    }
    return space_.subspan(end_, size);
  }
  /// A packet was made in next().
  void add(std::size_t size, const ngtcp2_path& path, std::uint8_t ecn) {
    const bool fits = begin_ == end_ ||
                      (size <= segment_ && ecn == ecn_ && ngtcp2_path_eq(&path, &path_.path) != 0);
    if (!fits) send();
    if (begin_ == end_) {
      segment_ = size;
      ecn_ = ecn;
      ngtcp2_path_storage_zero(&path_);
      ngtcp2_path_copy(&path_.path, &path);
    }
    end_ += size;
    total_ += size;
    if (size < segment_ || end_ - begin_ == segment_ * kMaxUdpSegments) send();
  }
  /// True once the socket takes no more, or refused.
  bool is_stopped() const { return bool(error_) || !port_.may_send(); }
  Error error() const { return error_; }
  std::size_t total() const { return total_; }

  void send() {
    if (begin_ == end_) return;
    OutgoingDatagram datagram;
    datagram.to = endpoint_of(path_.path.remote);
    if (source_) datagram.from = endpoint_of(path_.path.local).ip;
    datagram.ecn = ecn_;
    datagram.bytes = space_.subspan(begin_, end_ - begin_);
    datagram.segment_bytes = segment_;
    const auto sent = port_.send(datagram);
    // What is too large was a probe of the path's MTU; it counts as lost.
    if (!sent && sent.error() != Errc::too_large) error_ = sent.error();
    begin_ = end_;  // A packet that does not fit lies behind those that left.
  }

 private:
  Port& port_;
  std::span<std::uint8_t> space_;
  bool source_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t total_ = 0;
  std::size_t segment_ = 0;
  std::uint8_t ecn_ = 0;
  ngtcp2_path_storage path_{};
  Error error_;
};

bool Session::flush() {
  if (end_) return false;
  auto* connection = connection_.get();
  const auto now = timestamp();
  auto largest = ngtcp2_conn_get_max_tx_udp_payload_size(connection);
  if (port_.shared().env.now() < small_until_) largest = std::min(largest, kSmallPayloadBytes);
  // One train a turn: what would not fit in it would leave alone.
  const auto quantum =
      std::clamp(ngtcp2_conn_get_send_quantum(connection), largest, kMaxDatagramBytes - largest);
  Train train(port_, is_server() && port_.local().ip.is_unspecified());
  unreported_bytes_ = 0;
  // A keep-alive that is due by now.
  const bool is_probe = std::exchange(is_probe_wanted_, false);
  if (is_probe) ngtcp2_conn_set_keep_alive_timeout(connection, 1);
  bool is_full = false;
  while (!train.is_stopped()) {
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info{};
    const auto room = room_for_datagram(largest);
    if (room == 0) break;
    const auto size = write_packet(train.next(largest).first(room), path.path, info, now);
    if (size < 0) {
      train.send();
      on_library_error(static_cast<int>(size));
      return false;
    }
    if (size == 0) break;
    train.add(static_cast<std::size_t>(size), path.path, info.ecn);
    if (address_budget_) address_budget_->sent(static_cast<std::size_t>(size));
    is_full = train.total() >= quantum;
    if (is_full) break;
  }
  train.send();
  if (is_probe) ngtcp2_conn_set_keep_alive_timeout(connection, keep_alive_);
  if (train.total() > 0 && is_to_be_paced()) ngtcp2_conn_update_pkt_tx_time(connection, now);
  if (train.error() && !is_established_ && !is_server()) {
    end(train.error());
    return false;
  }
  if (train.error()) on_send_error();
  arm();
  return (is_full && ngtcp2_conn_get_expiry(connection) <= now) || !port_.may_send();
}

std::size_t Session::room_for_datagram(std::size_t largest) const {
  return address_budget_ ? std::min(largest, address_budget_->room()) : largest;
}

/// A path whose MTU shrinks may say nothing of it, and the library only ever looks for a larger
/// one. Spec: RFC 8899, 4.3.
void Session::look_for_black_hole() {
  const auto now = port_.shared().env.now();
  const Duration probe(static_cast<std::int64_t>(ngtcp2_conn_get_pto(connection_.get())));
  if (now < small_until_ || now < looked_for_hole_at_ + probe) return;
  looked_for_hole_at_ = now;
  if (ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_.get()) <= kSmallPayloadBytes) return;
  const auto is_stuck = [&](const auto& each) {
    const auto& [id, state] = each;
    const bool is_under_way = state->buffer.size() > state->buffer.unsent();
    return is_under_way && now - state->moved_at >= kBlackHoleProbes * probe;
  };
  if (std::ranges::none_of(streams_, is_stuck)) return;
  small_until_ = now + kSmallTime;
  port_.shared().metrics.path_mtu_drops.add();
}

bool Session::is_to_be_paced() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_.get(), &info);
  return info.bytes_in_flight > kBurstBytes && info.smoothed_rtt >= kFinestPacing;
}

ngtcp2_ssize Session::write_packet(std::span<std::uint8_t> out, ngtcp2_path& path,
                                   ngtcp2_pkt_info& info, std::uint64_t now) {
  for (;;) {
    auto* state = next_writer();
    std::array<ngtcp2_vec, kMaxPieces> room;
    std::span<ngtcp2_vec> pieces;
    std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
    std::size_t offered = 0;
    if (state) {
      pieces = state->buffer.pieces(room);
      for (const auto& piece : pieces) offered += piece.len;
      flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
      if (state->is_fin_wanted && offered == state->buffer.unsent())
        flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    }
    ngtcp2_ssize taken = -1;
    const auto size =
        ngtcp2_conn_writev_stream(connection_.get(), &path, &info, out.data(), out.size(), &taken,
                                  flags, state ? state->id : -1, pieces.data(), pieces.size(), now);
    if (state && taken >= 0) {
      if (state->buffer.unsent() == state->buffer.size()) state->moved_at = time_of(now);
      state->buffer.sent(static_cast<std::size_t>(taken));
      if ((flags & NGTCP2_WRITE_STREAM_FLAG_FIN) != 0 && std::size_t(taken) == offered)
        state->is_fin_sent = true;
      // One packet each: the next stream is next.
      state->unlink();
      if (state->has_unsent()) writers_.push_back(*state);
      if (state->user && state->buffer.unsent() <= port_.shared().config.max_unsent_bytes / 2)
        state->user->on_sent();
    }
    switch (size) {
      case NGTCP2_ERR_WRITE_MORE: continue;
      case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        state->unlink();
        blocked_.push_back(*state);
        continue;
      case NGTCP2_ERR_STREAM_SHUT_WR:
      case NGTCP2_ERR_STREAM_NOT_FOUND: stop_writing(*state, std::nullopt); continue;
      default: has_sent_ = has_sent_ || size > 0; return size;
    }
  }
}

void Session::on_stop_sending(std::int64_t stream, std::uint64_t code) {
  const auto found = streams_.find(stream);
  if (found != streams_.end()) stop_writing(*found->second, code);
}

void Session::stop_writing(StreamState& state, std::optional<std::uint64_t> code) {
  state.is_write_shut = true;
  state.unlink();
  if (state.user) state.user->on_stop_sending(code);
}

void Session::unblock(StreamState& state) {
  if (!state.has_unsent()) return;
  state.unlink();
  writers_.push_back(state);
}

StreamState* Session::next_writer() {
  if (writers_.empty()) return nullptr;
  auto& state = writers_.front();
  // A bare end needs no window.
  if (state.buffer.unsent() > 0 && ngtcp2_conn_get_max_data_left(connection_.get()) == 0)
    return nullptr;
  return &state;
}

StreamState& Session::add_stream(std::int64_t id) {
  return *streams_.emplace(id, std::make_unique<StreamState>(id)).first->second;
}

void Session::on_stream_closed(StreamState& state) {
  buffered_bytes_ -= state.buffer.size();
  const bool is_inbound = ngtcp2_conn_is_local_stream(connection_.get(), state.id) == 0;
  if (!is_inbound) --outbound_count_;
  if (state.user) {
    state.user->on_state_gone();
  } else if (is_inbound) {
    // Only now, so that a peer never has more streams here than it may open at once.
    ngtcp2_conn_extend_max_streams_bidi(connection_.get(), 1);
  }
  streams_.erase(state.id);
  if (is_starved_) wake_writers();
  wake_all(openers_, Error());
}

void Session::remove_user(bool is_inbound, bool is_state_gone) {
  if (is_inbound && is_state_gone && !end_) {
    ngtcp2_conn_extend_max_streams_bidi(connection_.get(), 1);
    want_write();
  }
}

std::size_t Session::room_for(const StreamState& state) {
  const auto& config = port_.shared().config;
  if (buffered_bytes_ >= config.max_send_buffer_bytes) {
    is_starved_ = true;
    return 0;
  }
  const auto unsent = state.buffer.unsent();
  if (unsent >= config.max_unsent_bytes) return 0;
  return std::min(config.max_unsent_bytes - unsent, config.max_send_buffer_bytes - buffered_bytes_);
}

void Session::write(StreamState& state, BytesView bytes) {
  state.buffer.append(bytes);
  buffered_bytes_ += bytes.size();
  if (!state.is_linked()) writers_.push_back(state);
  want_write();
}

void Session::finish(StreamState& state) {
  state.is_fin_wanted = true;
  if (!state.is_linked() && state.has_unsent()) writers_.push_back(state);
  want_write();
}

void Session::reset_stream(StreamState& state, ResetCode code) {
  state.unlink();
  state.is_write_shut = true;
  state.is_read_shut = true;
  ngtcp2_conn_shutdown_stream(connection_.get(), 0, state.id, static_cast<std::uint64_t>(code));
  want_write();
}

void Session::stop_reading(StreamState& state, ResetCode code) {
  state.is_read_shut = true;
  ngtcp2_conn_shutdown_stream_read(connection_.get(), 0, state.id,
                                   static_cast<std::uint64_t>(code));
  want_write();
}

void Session::consumed(const StreamState* state, std::size_t count) {
  if (end_ || count == 0) return;
  if (state && !state->is_read_shut)
    ngtcp2_conn_extend_max_stream_offset(connection_.get(), state->id, count);
  ngtcp2_conn_extend_max_offset(connection_.get(), count);
  unreported_bytes_ += count;
  if (unreported_bytes_ >= kReportBytes) want_write();
}

void Session::acknowledged(StreamState& state, std::size_t count) {
  state.buffer.acknowledged(count);
  state.moved_at = port_.shared().env.now();
  buffered_bytes_ -= count;
  if (is_starved_ && buffered_bytes_ <= port_.shared().config.max_send_buffer_bytes / 4 * 3)
    wake_writers();
}

void Session::wake_writers() {
  is_starved_ = false;
  for (const auto& [id, state] : streams_)
    if (state->user) state->user->on_sent();
}

}  // namespace pyrsia::transport::quic

#include "sim/tcp_connection.hpp"

#include "sim/tcp.hpp"

#include <algorithm>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

/// A SYN is sent at 0, 1, 3, 7, 15, 31 and 63 s, and given up at 127 s, as Linux does.
constexpr int kMaxSynCount = 7;
constexpr Duration kFirstSynTimeout = 1s;
constexpr Duration kMinRetransmitTimeout = 200ms;  // Linux.
constexpr Duration kMaxRetransmitTimeout = 120s;
/// Without any new acknowledgement the connection is dead: about Linux's tcp_retries2.
constexpr Duration kGiveUpAfter = 15min;
constexpr int kFastRetransmitDuplicates = 3;

}  // namespace

TcpConnection::TcpConnection(TcpStack& stack, const Endpoint& local, const Endpoint& remote)
    : stack_(&stack),
      timers_(stack.env().timers()),
      local_(local),
      remote_(remote),
      id_(stack.next_connection_id()),
      writable_(stack.env().executor()),
      readable_(stack.env().executor()) {}

bool TcpConnection::is_finished() const {
  return state_ == State::closed || (is_closed_by_both() && unacknowledged_.empty());
}

bool TcpConnection::is_of_earlier_peer(const Packet& packet) const {
  return packet.syn && !packet.ack && peer_id_ != 0 && packet.from_connection != peer_id_;
}

void TcpConnection::dial() {
  is_dialed_ = true;
  send_syn(false);
}

void TcpConnection::answer(const Packet& syn) {
  state_ = State::syn_received;
  peer_id_ = syn.from_connection;
  peer_window_end_ = syn.window_end;
  send_syn(true);
}

void TcpConnection::send_syn(bool is_answer) {
  Packet packet;
  packet.syn = true;
  packet.ack = is_answer;
  if (attempts_ == 0) progress_at_ = stack_->env().now();
  timers_.arm(*this, stack_->env().now() + kFirstSynTimeout * (1 << attempts_));
  ++attempts_;
  send(std::move(packet));
}

void TcpConnection::receive(Packet packet) {
  if (state_ == State::closed) return;
  if (packet.rst) {
    if (packet.to_connection != id_) return;
    fail(state_ == State::syn_sent ? Errc::refused : Errc::reset);
    return;
  }
  if (packet.to_connection != 0 && packet.to_connection != id_) {
    stack_->refuse(packet);
    return;
  }
  if (state_ == State::syn_sent) {
    receive_in_syn_sent(packet);
    return;
  }
  if (packet.syn && !packet.ack) {
    if (state_ == State::syn_received) send_syn(true);
    return;
  }
  if (state_ == State::syn_received) establish(packet);
  receive_acknowledgement(packet);
  if (packet.syn) {
    send_acknowledgement();
  } else {
    receive_data(std::move(packet));
  }
}

void TcpConnection::receive_in_syn_sent(const Packet& packet) {
  if (!packet.syn) return;
  peer_id_ = packet.from_connection;
  peer_window_end_ = packet.window_end;
  if (packet.ack) {
    establish(packet);
    send_acknowledgement();
    return;
  }
  // Two dials meet: each answers the other's SYN (RFC 9293, 3.5).
  stack_->probe("tcp: simultaneous open");
  state_ = State::syn_received;
  --attempts_;
  send_syn(true);
}

void TcpConnection::establish(const Packet& packet) {
  state_ = State::established;
  peer_window_end_ = packet.window_end;
  const auto now = stack_->env().now();
  if (attempts_ == 1) measure(now - progress_at_);
  progress_at_ = now;
  attempts_ = 0;
  arm();
  wake();
  if (!is_dialed_) stack_->accepted(*this);
}

void TcpConnection::receive_acknowledgement(const Packet& packet) {
  const bool is_window_news = packet.window_end > peer_window_end_;
  peer_window_end_ = std::max(peer_window_end_, packet.window_end);
  if (packet.acknowledged > acknowledged_) {
    acknowledge_new(packet.acknowledged);
  } else if (packet.acknowledged == acknowledged_ && !unacknowledged_.empty() &&
             packet.payload.empty() && !packet.fin && !is_window_news &&
             ++duplicates_ == kFastRetransmitDuplicates) {
    recover_ = next_;
    stack_->probe("tcp: fast retransmission");
    send_first_again();
  }
  if (is_writer_waiting_ && writable_bytes() > 0) writable_.notify();
}

void TcpConnection::acknowledge_new(std::uint64_t acknowledged) {
  const auto now = stack_->env().now();
  acknowledged_ = acknowledged;
  duplicates_ = 0;
  attempts_ = 0;
  progress_at_ = now;
  while (!unacknowledged_.empty() && unacknowledged_.front().end() <= acknowledged) {
    const auto& first = unacknowledged_.front();
    if (!first.is_sent_again) measure(now - first.sent_at);  // Karn's rule.
    unacknowledged_.pop_front();
  }
  if (!unacknowledged_.empty() && acknowledged < recover_) send_first_again();
  arm();
}

void TcpConnection::receive_data(Packet packet) {
  if (packet.payload.empty() && !packet.fin) {
    if (packet.sequence < expected_) send_acknowledgement();  // A probe of our window.
    return;
  }
  if (packet.sequence == expected_) {
    accept_in_order(std::move(packet));
    while (!early_.empty() && early_.begin()->first <= expected_) {
      auto next = early_.extract(early_.begin());
      if (next.key() == expected_) accept_in_order(std::move(next.mapped()));
    }
    readable_.notify();
  } else if (packet.sequence > expected_ && packet.sequence < window_end()) {
    stack_->probe("tcp: out of order");
    early_.emplace(packet.sequence, std::move(packet));
  }
  send_acknowledgement();
}

void TcpConnection::accept_in_order(Packet packet) {
  expected_ += packet.payload.size() + (packet.fin ? 1 : 0);
  fin_received_ = fin_received_ || packet.fin;
  if (!packet.payload.empty()) inbox_.push_back(std::move(packet.payload));
}

void TcpConnection::measure(Duration round_trip) {
  if (smoothed_ == Duration(0)) {
    smoothed_ = round_trip;
    variation_ = round_trip / 2;
  } else {
    const auto difference =
        smoothed_ > round_trip ? smoothed_ - round_trip : round_trip - smoothed_;
    variation_ = (3 * variation_ + difference) / 4;
    smoothed_ = (7 * smoothed_ + round_trip) / 8;
  }
  retransmit_after_ = smoothed_ + std::max(kMinRetransmitTimeout, 4 * variation_);
}

void TcpConnection::expired() {
  if (state_ != State::established) {
    handshake_expired();
  } else if (stack_->env().now() - progress_at_ >= kGiveUpAfter && !unacknowledged_.empty()) {
    stack_->probe("tcp: gave up");
    fail(Errc::closed);
  } else {
    retransmission_expired();
  }
  stack_->erase_if_finished(*this);  // The end of this object, if no socket has it.
}

void TcpConnection::retransmission_expired() {
  ++attempts_;
  if (!unacknowledged_.empty()) {
    recover_ = next_;
    send_first_again();
  } else if (is_writer_waiting_) {
    // The news of an open window may be lost: ask.
    Packet probe;
    probe.ack = true;
    probe.sequence = next_ - 1;
    send(std::move(probe));
  }
  arm();
}

void TcpConnection::handshake_expired() {
  if (attempts_ >= kMaxSynCount) {
    fail(Errc::timed_out);
  } else {
    send_syn(state_ == State::syn_received);
  }
}

void TcpConnection::queue(BytesView payload, bool is_fin) {
  const auto now = stack_->env().now();
  if (unacknowledged_.empty()) {
    progress_at_ = now;
    attempts_ = 0;
  }
  unacknowledged_.push_back({next_, Bytes(payload.begin(), payload.end()), is_fin, now, false});
  next_ = unacknowledged_.back().end();
  send_segment(unacknowledged_.back());
  if (unacknowledged_.size() == 1) arm();
}

void TcpConnection::send_segment(const Segment& segment) {
  Packet packet;
  packet.ack = true;
  packet.fin = segment.is_fin;
  packet.sequence = segment.sequence;
  packet.payload = segment.payload;
  send(std::move(packet));
}

void TcpConnection::send_first_again() {
  stack_->probe("tcp: retransmission");
  unacknowledged_.front().is_sent_again = true;
  send_segment(unacknowledged_.front());
}

void TcpConnection::send_acknowledgement() {
  Packet packet;
  packet.ack = true;
  packet.sequence = next_;
  send(std::move(packet));
}

void TcpConnection::send(Packet packet) {
  packet.protocol = Protocol::tcp;
  packet.from = local_;
  packet.to = remote_;
  packet.from_connection = id_;
  packet.to_connection = peer_id_;
  packet.acknowledged = expected_;
  packet.window_end = window_end();
  advertised_end_ = packet.window_end;
  stack_->send(std::move(packet));
}

void TcpConnection::arm() {
  if (state_ != State::established || (unacknowledged_.empty() && !is_writer_waiting_)) {
    timers_.disarm(*this);
    return;
  }
  const auto backed_off = retransmit_after_ * (1 << std::min(attempts_, 10));
  timers_.arm(*this, stack_->env().now() + std::min(backed_off, kMaxRetransmitTimeout));
}

void TcpConnection::wake() {
  readable_.notify();
  writable_.notify();
}

void TcpConnection::fail(Errc failure) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  failure_ = failure;
  timers_.disarm(*this);
  unacknowledged_.clear();
  early_.clear();
  wake();
}

void TcpConnection::abort(Errc failure) {
  if (state_ == State::closed) return;
  if (state_ != State::syn_sent && stack_) {
    Packet packet;
    packet.rst = true;
    packet.ack = true;
    packet.sequence = next_;
    send(std::move(packet));
  }
  inbox_.clear();
  taken_of_first_ = 0;
  fin_received_ = false;
  fail(failure);
}

std::uint64_t TcpConnection::writable_bytes() const {
  return peer_window_end_ > next_ + 1 ? peer_window_end_ - next_ - 1 : 0;
}

std::string TcpConnection::describe() const {
  std::string text = "tcp " + local_.to_string() + " - " + remote_.to_string();
  if (state_ == State::syn_sent) text += " dials";
  if (is_reader_waiting_) text += " waits to read";
  if (is_writer_waiting_) text += " waits to write";
  if (!unacknowledged_.empty()) text += " waits for an acknowledgement";
  return text;
}

Task<> TcpConnection::wait_established() {
  while (state_ == State::syn_sent || state_ == State::syn_received)
    PYRSIA_CO_TRY(co_await writable_.wait());
  if (state_ == State::closed) co_return failure_;
  co_return ok;
}

Task<> TcpConnection::wait_readable() {
  struct Waiting {
    explicit Waiting(bool& f) : flag(f) { flag = true; }
    ~Waiting() { flag = false; }
    bool& flag;
  };
  // What has arrived can be read even after a reset, as in the kernel.
  while (inbox_.empty() && !fin_received_) {
    if (state_ == State::closed) co_return failure_;
    const Waiting waiting(is_reader_waiting_);
    PYRSIA_CO_TRY(co_await readable_.wait());
  }
  co_return ok;
}

std::size_t TcpConnection::take(std::span<std::uint8_t> out) {
  std::size_t count = 0;
  while (!inbox_.empty() && count < out.size()) {
    const auto rest = BytesView(inbox_.front()).subspan(taken_of_first_);
    const auto piece = rest.first(std::min(rest.size(), out.size() - count));
    std::ranges::copy(piece, out.begin() + std::ptrdiff_t(count));
    count += piece.size();
    taken_of_first_ += piece.size();
    if (taken_of_first_ < inbox_.front().size()) break;
    inbox_.pop_front();
    taken_of_first_ = 0;
  }
  taken_ += count;
  const bool is_window_news = window_end() >= advertised_end_ + kTcpBufferBytes / 4;
  if (state_ == State::established && !fin_received_ && is_window_news) send_acknowledgement();
  return count;
}

Task<> TcpConnection::write(BytesView bytes) {
  struct Waiting {
    explicit Waiting(TcpConnection& c) : connection(c) { set(true); }
    ~Waiting() { set(false); }
    void set(bool is_waiting) {
      connection.is_writer_waiting_ = is_waiting;
      if (connection.stack_) connection.arm();
    }
    TcpConnection& connection;
  };
  if (state_ == State::closed) co_return failure_;
  if (fin_sent_) co_return Errc::closed;
  while (!bytes.empty()) {
    if (writable_bytes() == 0) {
      const Waiting waiting(*this);
      PYRSIA_CO_TRY(co_await writable_.wait());
    }
    if (state_ == State::closed) co_return failure_;
    const auto room = std::min<std::uint64_t>(writable_bytes(), kTcpSegmentBytes);
    const auto piece = bytes.first(std::min<std::size_t>(bytes.size(), room));
    if (piece.empty()) continue;
    queue(piece, false);
    bytes = bytes.subspan(piece.size());
  }
  co_return ok;
}

Result<> TcpConnection::finish() {
  if (state_ == State::closed) return failure_;
  if (fin_sent_) return ok;
  fin_sent_ = true;
  queue({}, true);
  return ok;
}

}  // namespace pyrsia::sim

#pragma once

#include "runtime/event.hpp"
#include "runtime/timer.hpp"
#include "sim/packet.hpp"

#include <pyrsia/task.hpp>
#include <pyrsia/time.hpp>

#include <deque>
#include <map>

namespace pyrsia::sim {

class TcpStack;

/// What may be on the way or unread in one direction; then writes wait.
inline constexpr std::size_t kTcpBufferBytes = std::size_t(256) << 10;
/// The payload of one packet at most, as with segmentation offload.
inline constexpr std::size_t kTcpSegmentBytes = std::size_t(16) << 10;

/// One end of a simulated TCP connection: handshake (also of two dials that meet), retransmission
/// (RFC 6298, NewReno), flow control, half-close, reset. Without congestion control, TIME_WAIT and
/// keep-alive. Owned by the stack of its host and by its socket, whichever lives longer.
class TcpConnection final : private Timer {
 public:
  enum class State { syn_sent, syn_received, established, closed };

  TcpConnection(TcpStack& stack, const Endpoint& local, const Endpoint& remote);

  const Endpoint& local() const { return local_; }
  const Endpoint& remote() const { return remote_; }
  State state() const { return state_; }
  /// It is broken, or both sides have sent their end and ours has arrived: nothing is left to do.
  bool is_finished() const;
  /// Both ends have closed their side; the last bytes may still be on the way.
  bool is_closed_by_both() const { return fin_sent_ && fin_received_; }

  /// `packet` dials anew: the peer that we were connected with has forgotten us.
  bool is_of_earlier_peer(const Packet& packet) const;

  // For the stack.
  void dial();
  void answer(const Packet& syn);
  void receive(Packet packet);
  /// Ends it at this end: pending calls end with `failure`.
  void fail(Errc failure);
  /// Drops it at both ends.
  void abort(Errc failure);
  /// The stack does not know it any more; it is closed.
  void forget_stack() { stack_ = nullptr; }
  std::string describe() const;

  // For the socket.
  Task<> wait_established();
  Task<> wait_readable();
  /// After wait_readable().
  std::size_t take(std::span<std::uint8_t> out);
  Task<> write(BytesView bytes);
  Result<> finish();

 private:
  struct Segment {
    std::uint64_t sequence;
    Bytes payload;
    bool is_fin;
    TimePoint sent_at;
    bool is_sent_again;
    std::uint64_t end() const { return sequence + payload.size() + (is_fin ? 1 : 0); }
  };

  void expired() override;
  void handshake_expired();
  void retransmission_expired();
  void receive_in_syn_sent(const Packet& packet);
  void establish(const Packet& packet);
  void receive_acknowledgement(const Packet& packet);
  void acknowledge_new(std::uint64_t acknowledged);
  void receive_data(Packet packet);
  void accept_in_order(Packet packet);
  void measure(Duration round_trip);
  void queue(BytesView payload, bool is_fin);
  void send_segment(const Segment& segment);
  void send_first_again();
  void send_syn(bool is_answer);
  void send_acknowledgement();
  void send(Packet packet);
  void arm();
  void wake();
  std::uint64_t window_end() const { return taken_ + kTcpBufferBytes + 1; }
  std::uint64_t writable_bytes() const;

  TcpStack* stack_;
  TimerQueue& timers_;
  Endpoint local_;
  Endpoint remote_;
  std::uint64_t id_;
  std::uint64_t peer_id_ = 0;
  State state_ = State::syn_sent;
  Errc failure_ = Errc::closed;  ///< Why it is closed.
  bool is_dialed_ = false;

  // Handshake and retransmission.
  int attempts_ = 0;
  TimePoint progress_at_{};  ///< When the peer last acknowledged something new.
  Duration retransmit_after_ = std::chrono::seconds(1);
  Duration smoothed_{0};
  Duration variation_{0};

  // Our side.
  std::uint64_t next_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t peer_window_end_ = 0;
  std::uint64_t recover_ = 0;  ///< Until here losses are repaired one after another.
  int duplicates_ = 0;
  bool fin_sent_ = false;
  bool is_writer_waiting_ = false;
  std::deque<Segment> unacknowledged_;
  Event writable_;

  // The peer's side.
  std::uint64_t expected_ = 0;
  std::uint64_t taken_ = 0;  ///< Read by our user.
  std::uint64_t advertised_end_ = 0;
  bool fin_received_ = false;
  std::map<std::uint64_t, Packet> early_;
  std::deque<Bytes> inbox_;
  std::size_t taken_of_first_ = 0;
  bool is_reader_waiting_ = false;
  Event readable_;
};

}  // namespace pyrsia::sim

#pragma once

#include "mux/yamux/session.hpp"
#include "mux/yamux/stream.hpp"
#include "mux/yamux/wire.hpp"
#include "runtime/task_group.hpp"

#include <array>
#include <unordered_map>

namespace pyrsia::mux::yamux {

/// An open_stream() that waits for its turn. The session may be gone when it wakes.
struct Opener : WriterHook {
  explicit Opener(asio::any_io_executor executor) : turn(std::move(executor)) {}

  Event turn;
  bool is_over = false;  ///< The session has ended.
};

/// The muxer. The read loop is run() itself; writing is one task that lives only while there is
/// something to write, so that a session that does nothing has no more than its read pending.
class Session final : public Muxer {
 public:
  Session(Env& env, std::unique_ptr<secure::Channel> channel, Role role, const Config& config,
          Metrics& metrics);
  ~Session() override;

  Task<> run(StreamSink& sink) override;
  Task<std::unique_ptr<Stream>> open_stream() override;
  void close(GoAway reason) noexcept override;
  void tick(TimePoint now) override;
  std::size_t stream_count() const override { return streams_.size(); }
  std::optional<Duration> round_trip() const override { return round_trip_; }
  std::optional<Duration> round_trip_since(TimePoint since) const override;

  // For its streams.
  asio::any_io_executor executor() { return env_.executor(); }
  TimePoint now() const { return env_.now(); }
  const Config& config() const { return config_; }
  WindowBudget& window_budget() { return window_budget_; }
  void add(YamuxStream& stream);
  void remove(YamuxStream& stream);
  void enqueue(YamuxStream& stream);
  void send_control(const Header& header);
  /// Pings, if no answer to a ping is waited for.
  void measure_round_trip() override;
  /// False if too many bytes are unread already.
  bool hold_buffered(std::size_t bytes);
  void release_buffered(std::size_t bytes) { buffered_bytes_ -= bytes; }
  /// A reader has all it asked for, and will run soon: what comes next can then go straight to it.
  void wait_for_full_reader() { ++full_reader_count_; }
  void on_full_reader_resumed();

 private:
  struct Batch;
  class Turn;

  Task<> serve();
  Result<> receive(BytesView bytes);
  Result<> on_frame();
  Result<> on_stream_frame();
  void on_frame_end();
  Result<> accept();
  void on_ping();
  void acknowledge(YamuxStream& stream);
  bool may_open() const { return unacknowledged_count_ < config_.max_unacknowledged_streams; }
  YamuxStream* find(std::uint32_t id) const;

  void start_writer();
  Task<> write_all();
  void fill(Batch& batch);
  Task<> abort_soon();
  /// Sets the reason and has run() end at the next turn.
  void end(Error reason, std::optional<GoAway> goodbye);
  void wake_opener();
  void ping();

  Env& env_;
  std::unique_ptr<secure::Channel> channel_;
  Role role_;
  Config config_;
  Metrics& metrics_;
  StreamSink* sink_ = nullptr;
  Error end_;

  std::unordered_map<std::uint32_t, YamuxStream*> streams_;
  std::size_t inbound_count_ = 0;
  std::size_t unacknowledged_count_ = 0;
  std::uint32_t next_id_;
  WindowBudget window_budget_;
  std::size_t buffered_bytes_ = 0;
  boost::intrusive::list<Opener, boost::intrusive::constant_time_size<false>> openers_;

  HeaderBytes header_;  ///< Of the frame that is being read.
  std::size_t header_count_ = 0;
  Header frame_;
  std::uint32_t body_left_ = 0;

  Bytes control_;  ///< Frames without a body, sent ahead of all data.
  int pongs_ = 0;  ///< In control_.
  WriterQueue writers_;
  bool is_writing_ = false;
  TimePoint write_began_{};    ///< Of the batch that is being written.
  bool is_gathering_ = false;  ///< The writer has not begun yet.
  Event control_sent_;
  std::size_t full_reader_count_ = 0;
  Event readers_resumed_;

  TimePoint last_heard_;
  std::optional<TimePoint> pinged_at_;
  std::uint32_t ping_ = 0;
  std::optional<Duration> round_trip_;
  TimePoint round_trip_at_ = TimePoint::min();  ///< Of the answer.

  TaskGroup tasks_;
};

}  // namespace pyrsia::mux::yamux

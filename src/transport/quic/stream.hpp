#pragma once

#include "mux/yamux/chunk_queue.hpp"
#include "runtime/event.hpp"
#include "transport/quic/send_buffer.hpp"

#include <pyrsia/stream.hpp>
#include <pyrsia/time.hpp>

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <optional>

namespace pyrsia::transport::quic {

class QuicStream;
class Session;

using WriterHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// What the session keeps of a stream until QUIC has done with it: the user may go earlier, his
/// last bytes still have to arrive. In the session's queue of writers while it can send.
struct StreamState : WriterHook {
  explicit StreamState(std::int64_t number) : id(number) {}

  std::int64_t id;
  SendBuffer buffer;
  TimePoint moved_at{};        ///< When the peer last acknowledged some of it, or it first left.
  QuicStream* user = nullptr;  ///< nullptr: gone.
  bool is_fin_wanted = false;
  bool is_fin_sent = false;
  bool is_write_shut = false;  ///< Reset by us, or the peer asked us to stop.
  bool is_read_shut = false;   ///< We asked the peer to stop; what still comes is dropped.

  bool has_unsent() const {
    return !is_write_shut && (buffer.unsent() > 0 || (is_fin_wanted && !is_fin_sent));
  }
};

using WriterQueue =
    boost::intrusive::list<StreamState, boost::intrusive::constant_time_size<false>>;

/// One bidirectional QUIC stream, owned by whoever uses it. Destroyed after close_write(), it
/// still delivers what was written; otherwise it is reset. Spec: RFC 9000, 2 and 3.
class QuicStream final : public Stream {
 public:
  QuicStream(Session& session, StreamState& state, bool is_inbound);
  ~QuicStream() override;

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode code) noexcept override;
  std::optional<std::uint64_t> peer_reset_code() const override { return reset_code_; }
  std::optional<std::uint64_t> peer_stop_code() const override { return stop_code_; }

  bool is_inbound() const { return is_inbound_; }

  // What happens, told by the session.
  void on_data(BytesView bytes);
  void on_finished();
  void on_peer_reset(std::uint64_t code);
  /// The peer wants no more of our bytes. `code`: nothing if it did not get to say why.
  void on_stop_sending(std::optional<std::uint64_t> code);
  /// QUIC has done with the stream; what was received may still be read.
  void on_state_gone();
  void on_sent() {
    if (is_writing_) writable_.notify();
  }
  /// The session is over.
  void on_session_end();

 private:
  friend class PendingRead;

  bool is_readable() const { return !chunks_.empty() || is_finished_ || read_failure_; }
  void consumed(std::size_t count);
  Task<> append(BytesView bytes);

  Session* session_;
  StreamState* state_;
  bool is_inbound_;
  bool is_write_closed_ = false;
  bool is_finished_ = false;  ///< The peer closed its side.
  bool is_stopped_ = false;   ///< The peer wants no more of our bytes.
  bool is_writing_ = false;
  Error read_failure_;
  Error write_failure_;
  std::optional<std::uint64_t> reset_code_;
  std::optional<std::uint64_t> stop_code_;
  mux::yamux::ChunkQueue chunks_;

  std::span<std::uint8_t> read_out_;  ///< Of the pending read: filled without a detour.
  std::size_t read_count_ = 0;
  Event readable_;
  Event writable_;
};

}  // namespace pyrsia::transport::quic

#pragma once

#include "mux/yamux/chunk_queue.hpp"
#include "mux/yamux/window.hpp"
#include "runtime/event.hpp"

#include <pyrsia/stream.hpp>

#include <boost/intrusive/list.hpp>

#include <vector>

namespace pyrsia::mux::yamux {

class Session;

/// Makes a stream a member of its session's queue of writers.
using WriterHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// One stream, owned by whoever uses it. The session knows it until one of the two is destroyed.
class YamuxStream final : public Stream, public WriterHook {
 public:
  YamuxStream(Session& session, std::uint32_t id, bool is_inbound);
  ~YamuxStream() override;

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode code) noexcept override;
  std::optional<std::uint64_t> peer_reset_code() const override { return reset_code_; }

  std::uint32_t id() const { return id_; }
  bool is_inbound() const { return is_inbound_; }
  bool is_acknowledged() const { return is_acknowledged_; }
  bool is_open() const { return !failure_; }

  // What the peer does, told by the session.
  void on_acknowledged() { is_acknowledged_ = true; }
  /// Errors: `Errc::protocol_violation`.
  Result<> on_grant(std::uint32_t delta);
  /// False if the peer had no right to send `count` bytes.
  bool on_data_announced(std::uint32_t count);
  void on_data(BytesView bytes);
  void on_finished();
  /// `code`: nothing if the frame had no room for one.
  void on_reset(std::optional<std::uint32_t> code);
  /// The session is over: the stream turns dead, and forgets it.
  void on_session_end();

  /// Bytes that could be sent now.
  std::size_t sendable_bytes() const;
  /// Moves `count` bytes of the pending write, at most sendable_bytes(), to the end of `parts`.
  void take(std::size_t count, std::vector<BytesView>& parts);

 private:
  friend class PendingWrite;
  friend class PendingRead;

  bool is_readable() const { return !chunks_.empty() || is_finished_ || failure_; }
  void fail(Error failure);
  void consumed(std::size_t count);
  void offer_to_writer();

  Session* session_;
  std::uint32_t id_;
  bool is_inbound_;
  bool is_acknowledged_ = false;
  bool is_write_closed_ = false;
  bool is_finished_ = false;  ///< The peer closed its side.
  std::optional<std::uint32_t> reset_code_;
  Error failure_;  ///< What calls end with, once it is no longer open.
  SendWindow send_window_;
  ReceiveWindow receive_window_;
  ChunkQueue chunks_;

  std::span<std::uint8_t> read_out_;  ///< Of the pending read: filled without a detour.
  std::size_t read_count_ = 0;
  std::span<const BytesView> write_parts_;  ///< Of the pending write: what is not yet taken.
  std::size_t write_offset_ = 0;            ///< In the first of write_parts_.
  std::size_t write_bytes_ = 0;
  Event readable_;
  Event writable_;
};

using WriterQueue =
    boost::intrusive::list<YamuxStream, boost::intrusive::constant_time_size<false>>;

}  // namespace pyrsia::mux::yamux

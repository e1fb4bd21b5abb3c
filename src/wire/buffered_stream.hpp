#pragma once

#include <pyrsia/stream.hpp>

#include <memory>

namespace pyrsia::wire {

/// A stream that reads ahead, so that short reads cost no system call each, and keeps what was read
/// too far for whoever reads next. Its buffers exist only while there is something in them.
class BufferedStream final : public Stream {
 public:
  explicit BufferedStream(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  /// From now on short writes wait for each other: they leave together before the next read that
  /// needs the stream below. For negotiations, in which every write is an answer to be waited for.
  void hold_writes() { is_holding_ = true; }
  /// Ends that; what is held leaves with the next write or read.
  void end_holding() { is_holding_ = false; }
  /// Ends that; sends what is held. Errors: those of the stream below.
  Task<> release_writes();

  /// Waits until more than `count` bytes were received and not yet taken, and shows all of them;
  /// valid until the next call of anything. Errors: `Errc::closed` (at the end too), `Errc::reset`.
  Task<BytesView> peek(std::size_t count);
  /// Takes bytes that peek() has shown.
  void skip(std::size_t count);

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode code) noexcept override;
  std::optional<std::uint64_t> peer_reset_code() const override {
    return stream_->peer_reset_code();
  }
  std::optional<std::uint64_t> peer_stop_code() const override { return stream_->peer_stop_code(); }

 private:
  Task<std::size_t> read_through_buffer(std::span<std::uint8_t> out);
  Task<> hold(BytesView bytes);
  Task<> hold_parts(std::span<const BytesView> parts);
  Task<> send_held();

  std::unique_ptr<Stream> stream_;
  Bytes buffer_;
  std::size_t taken_ = 0;
  Bytes held_;
  bool is_holding_ = false;
};

}  // namespace pyrsia::wire

#pragma once

#include <pyrsia/stream.hpp>

#include <memory>

namespace pyrsia::wire {

/// A stream that reads ahead, so that short reads cost no system call each, and keeps what was read
/// too far for whoever reads next. Its buffer exists only while there is something in it.
class BufferedStream final : public Stream {
 public:
  explicit BufferedStream(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode code) noexcept override;

 private:
  Task<std::size_t> read_through_buffer(std::span<std::uint8_t> out);

  std::unique_ptr<Stream> stream_;
  Bytes buffer_;
  std::size_t taken_ = 0;
};

}  // namespace pyrsia::wire

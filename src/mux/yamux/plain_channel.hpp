#pragma once

#include "secure/channel.hpp"

#include <pyrsia/stream.hpp>

namespace pyrsia::mux::yamux {

/// A channel that seals nothing: lets tests and fuzz targets speak yamux by hand.
class PlainChannel final : public secure::Channel {
 public:
  explicit PlainChannel(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  Task<BytesView> read() override {
    bytes_.resize(64 * 1024);
    PYRSIA_CO_TRY(const auto count, co_await stream_->read_some(bytes_));
    if (count == 0) co_return Errc::closed;
    bytes_.resize(count);
    co_return BytesView(bytes_);
  }

  Task<> write(std::span<const BytesView> parts) override {
    Bytes joined;
    for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
    co_return co_await stream_->write_all(joined);
  }

  std::size_t max_frame_bytes() const override { return 65519; }
  std::size_t max_write_bytes() const override { return 4 * max_frame_bytes(); }
  void abort() noexcept override { stream_->reset(); }

 private:
  std::unique_ptr<Stream> stream_;
  Bytes bytes_;
};

}  // namespace pyrsia::mux::yamux

/// What follows the handshake: frames of a 2-byte length and a sealed message.
/// Spec: libp2p/specs, noise, "Wire Format".
#pragma once

#include "crypto/aead.hpp"
#include "secure/channel.hpp"
#include "secure/sealed_input.hpp"

#include <pyrsia/stream.hpp>

namespace pyrsia::secure::noise {

/// Plaintext bytes of a full frame.
inline constexpr std::size_t kMaxPlainBytes = 65535 - crypto::kTagBytes;

class NoiseChannel final : public Channel {
 public:
  NoiseChannel(std::unique_ptr<Stream> stream, std::span<const std::uint8_t, 32> sending_key,
               std::span<const std::uint8_t, 32> receiving_key);

  Task<BytesView> read() override;
  Task<> write(std::span<const BytesView> parts) override;
  std::size_t max_frame_bytes() const override { return kMaxPlainBytes; }
  std::size_t max_write_bytes() const override { return kMaxWriteBytes; }
  void abort() noexcept override { stream_->reset(); }

 private:
  /// Four full frames and a little more: 256 KiB with what a muxer adds leave in one write.
  static constexpr std::size_t kMaxWriteBytes = 4 * kMaxPlainBytes + 1024;

  /// The next frame in the buffer, opened; empty if it is not complete.
  Result<BytesView> open_next();

  std::unique_ptr<Stream> stream_;
  crypto::AeadKey sending_key_;
  crypto::AeadKey receiving_key_;
  std::uint64_t sent_frames_ = 0;
  std::uint64_t received_frames_ = 0;
  SealedInput in_;
};

}  // namespace pyrsia::secure::noise

/// What follows the handshake: TLS records. Spec: RFC 8446, 5.
#pragma once

#include "crypto/tls_session.hpp"
#include "secure/channel.hpp"
#include "secure/sealed_input.hpp"

#include <pyrsia/stream.hpp>

#include <optional>

namespace pyrsia::secure::tls {

class TlsChannel final : public Channel {
 public:
  /// `session` has ended its handshake.
  TlsChannel(std::unique_ptr<Stream> stream, std::unique_ptr<crypto::TlsSession> session)
      : stream_(std::move(stream)), session_(std::move(session)) {}

  /// Besides those of the base: `Errc::refused` if the peer, as server, refuses our certificate.
  Task<BytesView> read() override;
  Task<> write(std::span<const BytesView> parts) override;
  std::size_t max_frame_bytes() const override { return crypto::kTlsRecordBytes; }
  std::size_t max_write_bytes() const override { return kMaxWriteBytes; }
  void abort() noexcept override { stream_->reset(); }

  /// Tells the peer that nothing more is written, and ends that half of the stream. Errors: those
  /// of the stream.
  Task<> finish();

 private:
  /// Sixteen full records and a little more: 256 KiB with what a muxer adds leave in one write.
  static constexpr std::size_t kMaxWriteBytes = 16 * crypto::kTlsRecordBytes + 1024;

  /// The records in the buffer, opened, as one piece; empty if none is complete.
  Result<BytesView> open_next();

  std::unique_ptr<Stream> stream_;
  std::unique_ptr<crypto::TlsSession> session_;
  SealedInput in_;
  std::optional<Error> failed_;  ///< Behind bytes that were handed out.
};

}  // namespace pyrsia::secure::tls

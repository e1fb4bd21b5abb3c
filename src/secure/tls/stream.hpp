/// TLS as a stream of bytes, for what is no muxer: a WebSocket of the web.
#pragma once

#include "secure/tls/channel.hpp"

namespace pyrsia::secure::tls {

/// The end of the records is the end of the stream, with or without TLS's own word for it: who is
/// above has a word of his own. Errors, besides those of the base: those of TlsChannel.
class TlsStream final : public Stream {
 public:
  /// `session` has ended its handshake.
  TlsStream(std::unique_ptr<Stream> stream, std::unique_ptr<crypto::TlsSession> session)
      : channel_(std::move(stream), std::move(session)) {}

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode) noexcept override { channel_.abort(); }

 private:
  TlsChannel channel_;
  BytesView unread_;  // In the channel's own buffer, until its next read().
  bool is_ended_ = false;
  bool is_write_closed_ = false;
};

}  // namespace pyrsia::secure::tls

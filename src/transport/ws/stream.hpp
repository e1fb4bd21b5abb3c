/// A WebSocket as a stream of bytes. Spec: RFC 6455; libp2p/specs, websockets.
#pragma once

#include "base/role.hpp"
#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "transport/ws/frame.hpp"
#include "wire/buffered_stream.hpp"

#include <pyrsia/stream.hpp>

#include <memory>
#include <string>

namespace pyrsia::transport::ws {

/// After the upgrade. Pings are answered, pieces and borders of messages mean nothing. WebSocket
/// has no half-close: close_write() says that nothing follows, and a peer may then end as well.
/// Errors, besides those of the base: `Errc::protocol_violation`, `Errc::not_supported` (text).
class WebSocket final : public Stream {
 public:
  /// `env` must outlive it.
  WebSocket(Env& env, std::unique_ptr<Stream> stream, Role role);

  Task<> wait_readable() override;
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override;
  Task<> write_all(BytesView bytes) override;
  Task<> write_all_parts(std::span<const BytesView> parts) override;
  Task<> close_write() override;
  using Stream::reset;
  void reset(ResetCode code) noexcept override { stream_->reset(code); }

 private:
  class Writing;

  /// Goes on until there are bytes of a binary frame to read, or the end.
  Task<> advance();
  Task<> read_header();
  Task<> read_control();
  /// Sends what is to be answered, and `parts` as frames.
  Task<> send(std::span<const BytesView> parts);
  Task<> send_answer();
  Bytes control_frame(Opcode opcode, BytesView payload);
  Mask next_mask();

  Env& env_;
  std::unique_ptr<Stream> stream_;
  const Role role_;
  Bytes header_;            ///< As much of the next one as there is.
  FrameHeader frame_;       ///< That is being read.
  std::uint64_t left_ = 0;  ///< Of its payload.
  Bytes control_;           ///< The payload of a control frame, as much as there is.
  bool is_in_frame_ = false;
  bool is_in_message_ = false;  ///< Continuations may follow.
  bool is_ended_ = false;       ///< The peer's close came.
  bool is_closed_ = false;      ///< Ours is sent.
  bool is_writing_ = false;
  Bytes answer_;  ///< The last control frame that is to be sent.
  Event written_;
};

/// The client's side. `host` and `path` are those of the request. Has no timeout. Errors:
/// those of check_response(), `Errc::too_large`, those of the stream.
Task<std::unique_ptr<Stream>> connect(Env& env, std::unique_ptr<wire::BufferedStream> stream,
                                      std::string host, std::string path);
/// The server's side. A client that is refused is told so. Has no timeout. Errors: those of
/// read_request(), `Errc::too_large`, those of the stream.
Task<std::unique_ptr<Stream>> accept(Env& env, std::unique_ptr<wire::BufferedStream> stream);

}  // namespace pyrsia::transport::ws

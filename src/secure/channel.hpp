#pragma once

#include <pyrsia/key.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/task.hpp>

#include <memory>
#include <span>
#include <string>

namespace pyrsia::secure {

/// An encrypted connection to a peer whose identity is proven: what a muxer stands on.
/// It speaks in chunks, not in streams of bytes, so that nothing is copied on the way: read()
/// hands out what was decrypted in place, write() seals from where the bytes lie.
/// At most one read and one write may be pending. Idle, it holds no buffer.
class Channel {
 public:
  virtual ~Channel() = default;

  /// The next plaintext bytes, never empty, valid until the next call. Errors: `Errc::closed` (also
  /// at an orderly end), `Errc::reset`, `Errc::bad_signature` (a frame that is not authentic).
  virtual Task<BytesView> read() = 0;

  /// Seals `parts`, in order, in as few frames as possible and sends them. What lies within the
  /// first max_write_bytes() is sealed before this waits, and its bytes are then no longer needed.
  /// Not to be cancelled but to end the channel, since a part of a frame may be gone already.
  /// Errors: `Errc::closed`, `Errc::reset`, `Errc::limit_reached` (every nonce was used).
  virtual Task<> write(std::span<const BytesView> parts) = 0;

  /// Plaintext bytes that fit in one full frame: the best size for a write.
  virtual std::size_t max_frame_bytes() const = 0;

  /// Plaintext bytes that are sealed and sent with one call of the system.
  virtual std::size_t max_write_bytes() const = 0;

  /// Ends it at once. Pending calls end with `Errc::closed`.
  virtual void abort() noexcept = 0;
};

/// What a security handshake yields.
struct Secured {
  std::unique_ptr<Channel> channel;
  PublicKey peer_key;
  PeerId peer;
  std::string muxer;  ///< Agreed on inside the handshake; empty: negotiate with multistream-select.
};

}  // namespace pyrsia::secure

#pragma once

#include <pyrsia/bytes.hpp>

#include <ngtcp2/ngtcp2.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>

namespace pyrsia::transport::quic {

/// The bytes of one stream from when they are written until the peer has acknowledged them. They
/// do not move meanwhile: the library points to them. Empty, it holds nothing.
class SendBuffer {
 public:
  SendBuffer() = default;
  SendBuffer(const SendBuffer&) = delete;
  SendBuffer& operator=(const SendBuffer&) = delete;

  std::size_t size() const { return size_; }      ///< Not yet acknowledged.
  std::size_t unsent() const { return unsent_; }  ///< Of them, not yet sent.
  void append(BytesView bytes);
  /// Where the unsent bytes lie, as far as they fit in `out`.
  std::span<ngtcp2_vec> pieces(std::span<ngtcp2_vec> out) const;
  void sent(std::size_t count);
  void acknowledged(std::size_t count);

 private:
  struct Chunk {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  std::deque<Chunk>& chunks();

  std::unique_ptr<std::deque<Chunk>> chunks_;  ///< An empty deque is not small.
  std::size_t size_ = 0;
  std::size_t unsent_ = 0;
  std::size_t unsent_chunk_ = 0;   ///< The first with unsent bytes.
  std::size_t unsent_offset_ = 0;  ///< In it.
};

}  // namespace pyrsia::transport::quic

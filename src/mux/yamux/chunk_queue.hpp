#pragma once

#include <pyrsia/bytes.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace pyrsia::mux::yamux {

/// Received bytes that wait for their reader. Holds at most about twice what is in it, however
/// small the pieces were in which it came, and nothing when it is empty.
class ChunkQueue {
 public:
  ChunkQueue() = default;
  ChunkQueue(const ChunkQueue&) = delete;
  ChunkQueue& operator=(const ChunkQueue&) = delete;
  ~ChunkQueue() { clear(); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void push(BytesView bytes);
  /// Moves up to out.size() bytes to `out`; returns how many.
  std::size_t pop(std::span<std::uint8_t> out);
  void clear();

 private:
  struct Chunk {
    std::unique_ptr<Chunk> next;
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  std::unique_ptr<Chunk> first_;
  Chunk* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pyrsia::mux::yamux

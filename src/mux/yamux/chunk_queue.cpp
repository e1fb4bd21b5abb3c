#include "mux/yamux/chunk_queue.hpp"

#include <algorithm>

namespace pyrsia::mux::yamux {
namespace {

constexpr std::size_t kMinChunkBytes = 256;
constexpr std::size_t kMaxSpareBytes = 16 * 1024;

}  // namespace

void ChunkQueue::push(BytesView bytes) {
  if (last_) {
    const auto count = std::min(bytes.size(), last_->capacity - last_->end);
    std::copy_n(bytes.begin(), count, last_->bytes.get() + last_->end);
    last_->end += count;
    size_ += count;
    bytes = bytes.subspan(count);
  }
  if (bytes.empty()) return;
  // Room for as much again as waits already: small pieces share chunks, and a lone one stays small.
  auto chunk = std::make_unique<Chunk>();
  chunk->capacity = std::max({bytes.size(), std::min(size_, kMaxSpareBytes), kMinChunkBytes});
  chunk->bytes = std::make_unique_for_overwrite<std::uint8_t[]>(chunk->capacity);
  std::ranges::copy(bytes, chunk->bytes.get());
  chunk->end = bytes.size();
  size_ += bytes.size();
  auto* const raw = chunk.get();
  (last_ ? last_->next : first_) = std::move(chunk);
  last_ = raw;
}

std::size_t ChunkQueue::pop(std::span<std::uint8_t> out) {
  std::size_t total = 0;
  while (first_ && total < out.size()) {
    const auto count = std::min(out.size() - total, first_->end - first_->begin);
    std::copy_n(first_->bytes.get() + first_->begin, count, out.data() + total);
    first_->begin += count;
    total += count;
    if (first_->begin < first_->end) break;
    first_ = std::move(first_->next);
  }
  if (!first_) last_ = nullptr;
  size_ -= total;
  return total;
}

void ChunkQueue::clear() {
  // One by one: a long chain must not be destroyed by recursion.
  while (first_) first_ = std::move(first_->next);
  last_ = nullptr;
  size_ = 0;
}

}  // namespace pyrsia::mux::yamux

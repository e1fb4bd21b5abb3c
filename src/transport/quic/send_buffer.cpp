#include "transport/quic/send_buffer.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::transport::quic {
namespace {

constexpr std::size_t kSmallestChunk = 1024;
constexpr std::size_t kLargestChunk = std::size_t(64) << 10;

}  // namespace

std::deque<SendBuffer::Chunk>& SendBuffer::chunks() {
  if (!chunks_) chunks_ = std::make_unique<std::deque<Chunk>>();
  return *chunks_;
}

void SendBuffer::append(BytesView bytes) {
  auto& all = chunks();
  size_ += bytes.size();
  unsent_ += bytes.size();
  while (!bytes.empty()) {
    if (all.empty() || all.back().end == all.back().capacity) {
      Chunk chunk;
      // As large as what is there already, so that many small writes need few chunks.
      chunk.capacity =
          std::clamp(std::max(bytes.size(), size_ - bytes.size()), kSmallestChunk, kLargestChunk);
      chunk.bytes = std::make_unique_for_overwrite<std::uint8_t[]>(chunk.capacity);
      all.push_back(std::move(chunk));
    }
    auto& chunk = all.back();
    const auto count = std::min(bytes.size(), chunk.capacity - chunk.end);
    std::copy_n(bytes.begin(), count, chunk.bytes.get() + chunk.end);
    chunk.end += count;
    bytes = bytes.subspan(count);
  }
}

std::span<ngtcp2_vec> SendBuffer::pieces(std::span<ngtcp2_vec> out) const {
  std::size_t count = 0;
  if (unsent_ == 0) return out.first(0);
  auto offset = unsent_offset_;
  for (auto i = unsent_chunk_; i < chunks_->size() && count < out.size(); ++i) {
    const auto& chunk = (*chunks_)[i];
    if (offset < chunk.end) {
      out[count].base = chunk.bytes.get() + offset;
      out[count].len = chunk.end - offset;
      ++count;
    }
    offset = 0;
  }
  return out.first(count);
}

void SendBuffer::sent(std::size_t count) {
  assert(count <= unsent_);
  unsent_ -= count;
  while (count > 0) {
    const auto& chunk = (*chunks_)[unsent_chunk_];
    const auto taken = std::min(count, chunk.end - unsent_offset_);
    unsent_offset_ += taken;
    count -= taken;
    if (unsent_offset_ == chunk.capacity) {
      ++unsent_chunk_;
      unsent_offset_ = 0;
    }
  }
}

void SendBuffer::acknowledged(std::size_t count) {
  assert(count <= size_ - unsent_);
  size_ -= count;
  while (count > 0) {
    auto& chunk = chunks_->front();
    const auto taken = std::min(count, chunk.end - chunk.begin);
    chunk.begin += taken;
    count -= taken;
    if (chunk.begin < chunk.capacity) break;
    chunks_->pop_front();
    --unsent_chunk_;
  }
  if (size_ > 0) return;
  chunks_.reset();
  unsent_chunk_ = unsent_offset_ = 0;
}

}  // namespace pyrsia::transport::quic

#include "secure/buffer_pool.hpp"

#include <vector>

namespace pyrsia::secure {
namespace {

/// Free buffers that are kept. Our choice: 2 MiB a thread.
constexpr std::size_t kMaxFree = 8;

std::vector<std::unique_ptr<std::uint8_t[]>>& free_buffers() {
  thread_local std::vector<std::unique_ptr<std::uint8_t[]>> buffers;
  return buffers;
}

}  // namespace

PooledBuffer& PooledBuffer::operator=(PooledBuffer&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  bytes_ = std::move(other.bytes_);
  return *this;
}

PooledBuffer PooledBuffer::borrow() {
  auto& buffers = free_buffers();
  PooledBuffer buffer;
  if (buffers.empty()) {
    buffer.bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(kBytes);
  } else {
    buffer.bytes_ = std::move(buffers.back());
    buffers.pop_back();
  }
  return buffer;
}

void PooledBuffer::give_back() noexcept {
  if (!bytes_) return;
  auto& buffers = free_buffers();
  if (buffers.size() < kMaxFree) buffers.push_back(std::move(bytes_));
  bytes_.reset();
}

}  // namespace pyrsia::secure

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace pyrsia::secure {

/// A large buffer, borrowed from the thread's pool while there is something in it. The pool keeps
/// a few for the next borrower, those used last first, so that a busy thread works in memory that
/// is in its cache, and idle connections hold none.
class PooledBuffer {
 public:
  /// Room for four full frames and a small one. Of it a reader uses what it needs.
  static constexpr std::size_t kBytes = 4 * (2 + 65535) + 2048;

  /// Empty: borrows nothing.
  PooledBuffer() = default;
  PooledBuffer(PooledBuffer&& other) noexcept = default;
  PooledBuffer& operator=(PooledBuffer&& other) noexcept;
  ~PooledBuffer() { give_back(); }

  static PooledBuffer borrow();

  explicit operator bool() const { return bytes_ != nullptr; }
  /// kBytes long.
  std::span<std::uint8_t> bytes() const { return {bytes_.get(), kBytes}; }
  void give_back() noexcept;

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
};

}  // namespace pyrsia::secure

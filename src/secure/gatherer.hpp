#pragma once

#include <pyrsia/bytes.hpp>

#include <algorithm>
#include <span>
#include <vector>

namespace pyrsia::secure {

/// Hands out what is in some parts piece by piece: frames take bytes from where they lie.
class Gatherer {
 public:
  /// `parts` must outlive it.
  explicit Gatherer(std::span<const BytesView> parts) : parts_(parts) {
    for (const auto part : parts) left_ += part.size();
  }

  std::size_t left() const { return left_; }

  /// The next `count` bytes, at most left(), as views; valid until the next call.
  std::span<const BytesView> next(std::size_t count) {
    pieces_.clear();
    left_ -= count;
    while (count > 0) {
      const auto rest = parts_.front().subspan(offset_);
      const auto piece = rest.first(std::min(count, rest.size()));
      if (!piece.empty()) pieces_.push_back(piece);
      count -= piece.size();
      offset_ += piece.size();
      if (offset_ < parts_.front().size()) break;
      parts_ = parts_.subspan(1);
      offset_ = 0;
    }
    return pieces_;
  }

 private:
  std::span<const BytesView> parts_;
  std::size_t offset_ = 0;
  std::size_t left_ = 0;
  std::vector<BytesView> pieces_;
};

}  // namespace pyrsia::secure

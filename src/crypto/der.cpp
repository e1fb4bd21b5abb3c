#include "crypto/der.hpp"

namespace pyrsia::crypto::der {
namespace {

constexpr std::uint8_t kLongForm = 0x80;
constexpr std::uint8_t kHighTag = 0x1f;
/// More than any certificate needs, and no overflow.
constexpr std::size_t kMaxLengthBytes = 3;

}  // namespace

Result<Element> Reader::next() {
  if (rest_.size() < 2 || (rest_[0] & kHighTag) == kHighTag) return Errc::malformed;
  std::size_t header = 2;
  std::size_t length = rest_[1];
  if (length >= kLongForm) {
    const auto count = length & (kLongForm - 1);  // 0 is the indefinite form of BER.
    if (count == 0 || count > kMaxLengthBytes || rest_.size() < 2 + count) return Errc::malformed;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | rest_[2 + i];
    const auto least = count == 1 ? std::size_t(kLongForm) : std::size_t(1) << 8 * (count - 1);
    if (length < least) return Errc::malformed;
    header += count;
  }
  if (rest_.size() - header < length) return Errc::malformed;
  const Element element{rest_[0], rest_.subspan(header, length), rest_.first(header + length)};
  rest_ = rest_.subspan(header + length);
  return element;
}

Result<Element> Reader::next(std::uint8_t tag) {
  if (next_tag() != tag) return Errc::malformed;
  return next();
}

Bytes element(std::uint8_t tag, std::initializer_list<BytesView> parts) {
  std::size_t length = 0;
  for (const auto part : parts) length += part.size();
  Bytes out{tag};
  if (length < kLongForm) {
    out.push_back(std::uint8_t(length));
  } else {
    const std::uint8_t count = length > 0xffff ? 3 : length > 0xff ? 2 : 1;
    out.push_back(std::uint8_t(kLongForm | count));
    for (int i = count - 1; i >= 0; --i) out.push_back(std::uint8_t(length >> 8 * i));
  }
  for (const auto part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace pyrsia::crypto::der

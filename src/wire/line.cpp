#include "wire/line.hpp"

#include <cassert>
#include <utility>

namespace pyrsia::wire {

void append_line(Bytes& out, std::string_view text) {
  const auto length = text.size() + 1;
  assert(length <= kMaxLineBytes);
  if (length < 0x80) {
    out.push_back(std::uint8_t(length));
  } else {
    out.push_back(std::uint8_t((length & 0x7f) | 0x80));
    out.push_back(std::uint8_t(length >> 7));
  }
  out.insert(out.end(), text.begin(), text.end());
  out.push_back('\n');
}

std::size_t LineParser::wanted_bytes() const {
  return has_length_ ? length_ - text_.size() : 1;
}

Result<> LineParser::add(BytesView bytes) {
  assert(bytes.size() <= wanted_bytes());
  if (bytes.empty()) return ok;
  if (!has_length_) return add_to_length(bytes[0]);
  text_ += as_text(bytes);
  if (text_.size() == length_ && text_.back() != '\n') return Errc::malformed;
  return ok;
}

Result<> LineParser::add_to_length(std::uint8_t byte) {
  if (byte == 0) return Errc::malformed;  // An empty line, or a length that is not minimal.
  length_ |= std::size_t(byte & 0x7f) << shift_;
  shift_ += 7;
  if (length_ > kMaxLineBytes || (byte >= 0x80 && shift_ >= 14)) return Errc::too_large;
  has_length_ = byte < 0x80;
  return ok;
}

std::string LineParser::take() {
  assert(has_length_ && text_.size() == length_);
  auto text = std::move(text_);
  text.pop_back();
  *this = LineParser();
  return text;
}

}  // namespace pyrsia::wire

/// The lines of multistream-select: a length as an unsigned varint, then text that ends with a
/// newline. Spec: libp2p/specs, connections, "multistream-select".
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace pyrsia::wire {

/// Longest line that we accept, in bytes with its newline.
inline constexpr std::size_t kMaxLineBytes = 1024;

/// Appends `text` as a line to `out`. `text` has no newline and fits in kMaxLineBytes.
void append_line(Bytes& out, std::string_view text);

/// Takes a line apart as its bytes come in, never asking for a byte beyond its end.
class LineParser {
 public:
  /// How many bytes to take next; 0 when the line is complete.
  std::size_t wanted_bytes() const;
  /// Adds bytes, no more than wanted. Errors: `Errc::too_large`, `Errc::malformed`.
  Result<> add(BytesView bytes);
  /// The line without its newline; the parser is then ready for the next one.
  std::string take();

 private:
  Result<> add_to_length(std::uint8_t byte);

  std::string text_;
  std::size_t length_ = 0;
  int shift_ = 0;
  bool has_length_ = false;
};

}  // namespace pyrsia::wire

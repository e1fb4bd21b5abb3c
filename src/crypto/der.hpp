/// DER, as much of it as certificates need. Strict: one encoding of each value, no BER.
/// Spec: ITU-T X.690, 10.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <initializer_list>
#include <string_view>

namespace pyrsia::crypto::der {

inline constexpr std::uint8_t kBoolean = 0x01;
inline constexpr std::uint8_t kInteger = 0x02;
inline constexpr std::uint8_t kBitString = 0x03;
inline constexpr std::uint8_t kOctetString = 0x04;
inline constexpr std::uint8_t kOid = 0x06;
inline constexpr std::uint8_t kUtf8String = 0x0c;
inline constexpr std::uint8_t kUtcTime = 0x17;
inline constexpr std::uint8_t kGeneralizedTime = 0x18;
inline constexpr std::uint8_t kSequence = 0x30;
inline constexpr std::uint8_t kSet = 0x31;
/// [number], constructed.
constexpr std::uint8_t context(std::uint8_t number) {
  return std::uint8_t(0xa0 | number);
}

struct Element {
  std::uint8_t tag = 0;
  BytesView content;
  BytesView whole;  ///< With tag and length.
};

/// Reads one element after another. What it was given must outlive what it hands out.
class Reader {
 public:
  explicit Reader(BytesView bytes) : rest_(bytes) {}

  bool is_empty() const { return rest_.empty(); }
  /// The tag of the next element; 0 at the end.
  std::uint8_t next_tag() const { return rest_.empty() ? std::uint8_t(0) : rest_.front(); }
  /// Errors: `Errc::malformed`, also at the end.
  Result<Element> next();
  /// The next element, which must have this tag. Errors: `Errc::malformed`.
  Result<Element> next(std::uint8_t tag);

 private:
  BytesView rest_;
};

/// An element around `parts`, one after another.
Bytes element(std::uint8_t tag, std::initializer_list<BytesView> parts);

}  // namespace pyrsia::crypto::der

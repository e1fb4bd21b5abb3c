#include "base/base58.hpp"

#include <algorithm>
#include <array>

namespace pyrsia {
namespace {

constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

using Digits = std::array<std::int8_t, 256>;

constexpr Digits digits_of(std::string_view alphabet) {
  Digits digits;
  digits.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    digits[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return digits;
}

constexpr Digits base36_digits() {
  Digits digits = digits_of("0123456789abcdefghijklmnopqrstuvwxyz");
  for (char c = 'A'; c <= 'Z'; ++c) {
    const auto upper = static_cast<std::uint8_t>(c);
    digits[upper] = digits[upper + 'a' - 'A'];
  }
  return digits;
}

Result<Bytes> decode(std::string_view text, const Digits& digits, unsigned radix) {
  if (text.size() > kMaxRadixChars) return Errc::too_large;
  const auto value_of = [&](char c) { return digits[static_cast<std::uint8_t>(c)]; };
  Bytes number;  // Least significant byte first.
  std::size_t zeros = 0;
  for (const char c : text) {
    if (value_of(c) < 0) return Errc::malformed;
    if (number.empty() && value_of(c) == 0) ++zeros;
    auto carry = static_cast<unsigned>(value_of(c));
    for (auto& byte : number) {
      carry += radix * byte;
      byte = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    if (carry > 0) number.push_back(static_cast<std::uint8_t>(carry));
  }
  number.insert(number.end(), zeros, 0);
  std::reverse(number.begin(), number.end());
  return number;
}

}  // namespace

std::string to_base58(BytesView bytes) {
  std::string digits;  // Values, least significant first.
  std::size_t zeros = 0;
  for (const unsigned byte : bytes) {
    if (digits.empty() && byte == 0) ++zeros;
    unsigned carry = byte;
    for (auto& digit : digits) {
      carry += static_cast<unsigned>(digit) << 8;
      digit = static_cast<char>(carry % 58);
      carry /= 58;
    }
    for (; carry > 0; carry /= 58) digits += static_cast<char>(carry % 58);
  }
  digits.append(zeros, 0);
  std::reverse(digits.begin(), digits.end());
  for (auto& digit : digits) digit = kBase58[static_cast<std::size_t>(digit)];
  return digits;
}

Result<Bytes> from_base58(std::string_view text) {
  static constexpr Digits kDigits = digits_of(kBase58);
  return decode(text, kDigits, 58);
}

Result<Bytes> from_base36(std::string_view text) {
  static constexpr Digits kDigits = base36_digits();
  return decode(text, kDigits, 36);
}

}  // namespace pyrsia

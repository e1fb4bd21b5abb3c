#include "base/multibase.hpp"

#include "base/base58.hpp"
#include "base/hex.hpp"

namespace pyrsia {
namespace {

constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode_bits(BytesView bytes, std::string_view alphabet, unsigned bits) {
  std::string text;
  text.reserve((bytes.size() * 8 + bits - 1) / bits);
  unsigned buffer = 0;
  unsigned held = 0;
  for (const auto byte : bytes) {
    buffer = (buffer << 8) | byte;
    held += 8;
    for (; held >= bits; held -= bits) {
      text += alphabet[(buffer >> (held - bits)) & (alphabet.size() - 1)];
    }
    buffer &= (1U << held) - 1;
  }
  if (held > 0) text += alphabet[(buffer << (bits - held)) & (alphabet.size() - 1)];
  return text;
}

Result<Bytes> decode_bits(std::string_view text, std::string_view alphabet, unsigned bits) {
  Bytes bytes;
  bytes.reserve(text.size() * bits / 8);
  unsigned buffer = 0;
  unsigned held = 0;
  for (const char c : text) {
    const auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return Errc::malformed;
    buffer = (buffer << bits) | static_cast<unsigned>(digit);
    held += bits;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<std::uint8_t>(buffer >> held));
    buffer &= (1U << held) - 1;
  }
  // A whole digit too many, or bits that encode nothing: two texts would mean the same bytes.
  if (held >= bits || buffer != 0) return Errc::malformed;
  return bytes;
}

}  // namespace

Result<Bytes> from_multibase(std::string_view text) {
  if (text.empty()) return Errc::malformed;
  const auto digits = text.substr(1);
  switch (text.front()) {
    case 'f':
    case 'F': return from_hex(digits);
    case 'b':
    case 'B': return from_base32(digits);
    case 'k':
    case 'K': return from_base36(digits);
    case 'z': return from_base58(digits);
    case 'm': return decode_bits(digits, kBase64, 6);
    case 'u': return decode_bits(digits, kBase64Url, 6);
    default: return Errc::malformed;
  }
}

std::string to_base32(BytesView bytes) {
  return encode_bits(bytes, kBase32, 5);
}

Result<Bytes> from_base32(std::string_view text) {
  std::string lower(text);
  for (auto& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return decode_bits(lower, kBase32, 5);
}

std::string to_base64(BytesView bytes) {
  auto text = to_base64url(bytes);
  for (auto& letter : text) letter = letter == '-' ? '+' : letter == '_' ? '/' : letter;
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::string to_base64url(BytesView bytes) {
  return encode_bits(bytes, kBase64Url, 6);
}

}  // namespace pyrsia

#include "nat/stun/attributes.hpp"

#include "base/hex.hpp"
#include "base/multibase.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>

namespace pyrsia::stun {
namespace {

constexpr std::uint8_t kFamilyV4 = 1;
constexpr std::uint8_t kFamilyV6 = 2;
constexpr std::size_t kMaxPasswordAlgorithms = 8;
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::string_view kNonceCookie = "obMatJos2";
constexpr std::size_t kFeatureLetters = 4;  ///< 24 bits in base64.

template <std::size_t kSize>
std::array<std::uint8_t, kSize> array_of(BytesView bytes) {
  std::array<std::uint8_t, kSize> out{};
  std::copy_n(bytes.begin(), kSize, out.begin());
  return out;
}

bool is_label(std::string_view label) {
  const auto is_fit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  return !label.empty() && label.size() <= kMaxLabelBytes && std::ranges::all_of(label, is_fit);
}

}  // namespace

Result<Endpoint> decode_address(BytesView value) {
  if (value.size() != 8 && value.size() != 20) return Errc::malformed;
  const auto family = value[1];
  if (family != kFamilyV4 && family != kFamilyV6) return Errc::not_supported;
  if (value.size() != (family == kFamilyV4 ? 8U : 20U)) return Errc::malformed;
  const auto address = value.subspan(4);
  return Endpoint{family == kFamilyV4 ? IpAddress::v4(array_of<4>(address))
                                      : IpAddress::v6(array_of<16>(address)),
                  read_u16(&value[2])};
}

Result<Endpoint> decode_xor_address(BytesView value, const Header& header) {
  if (value.size() != 8 && value.size() != 20) return Errc::malformed;
  std::array<std::uint8_t, 20> plain{};
  std::ranges::copy(value, plain.begin());
  std::array<std::uint8_t, 16> mask{};
  write_u32(mask.data(), kMagicCookie);
  std::ranges::copy(header.transaction, mask.begin() + 4);
  for (std::size_t i = 0; i < 2; ++i) plain[2 + i] ^= mask[i];
  for (std::size_t i = 4; i < value.size(); ++i) plain[i] ^= mask[i - 4];
  return decode_address(BytesView(plain).first(value.size()));
}

Result<Endpoint> mapped_address(const Message& response) {
  if (const auto value = response.find(AttributeType::xor_mapped_address))
    return decode_xor_address(*value, response.header());
  if (const auto value = response.find(AttributeType::mapped_address))
    return decode_address(*value);
  return Errc::not_found;
}

std::optional<Endpoint> find_address(const Message& message, AttributeType type) {
  const auto value = message.find(type);
  if (!value) return std::nullopt;
  const auto address = decode_address(*value);
  if (!address) return std::nullopt;
  return *address;
}

Result<std::string_view> decode_text(AttributeType type, BytesView value) {
  const bool is_username = type == AttributeType::username;
  if (value.size() > (is_username ? kMaxUsernameBytes : kMaxTextBytes)) return Errc::malformed;
  return as_text(value);
}

Result<std::string_view> decode_alternate_domain(BytesView value) {
  if (value.size() > kMaxDomainBytes) return Errc::malformed;
  const auto domain = as_text(value);
  auto rest = domain;
  for (;;) {
    const auto dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) return Errc::malformed;
    if (dot == rest.npos) return domain;
    rest.remove_prefix(dot + 1);
  }
}

Result<std::array<std::uint8_t, 32>> decode_userhash(BytesView value) {
  if (value.size() != 32) return Errc::malformed;
  return array_of<32>(value);
}

Result<ErrorCode> decode_error_code(BytesView value) {
  if (value.size() < 4 || value.size() > 4 + kMaxTextBytes) return Errc::malformed;
  const int hundreds = value[2] & 7;
  const int rest = value[3];
  if (hundreds < 3 || hundreds > 6 || rest > 99) return Errc::malformed;
  return ErrorCode{hundreds * 100 + rest, as_text(value.subspan(4))};
}

Result<std::vector<std::uint16_t>> decode_unknown_attributes(BytesView value) {
  if (value.size() % 2 != 0) return Errc::malformed;
  std::vector<std::uint16_t> types;
  for (std::size_t at = 0; at < value.size() && types.size() < kMaxUnknown; at += 2)
    types.push_back(read_u16(&value[at]));
  return types;
}

Result<ChangeRequest> decode_change_request(BytesView value) {
  if (value.size() != 4) return Errc::malformed;
  const auto flags = read_u32(value.data());
  return ChangeRequest{(flags & 4) != 0, (flags & 2) != 0};
}

Result<std::uint16_t> decode_response_port(BytesView value) {
  if (value.size() != 4 && value.size() != 2) return Errc::malformed;
  const auto port = read_u16(value.data());
  if (port == 0) return Errc::malformed;
  return port;
}

Result<PasswordAlgorithm> decode_password_algorithm(BytesView value) {
  if (value.size() < 4 || value.size() < 4U + read_u16(&value[2])) return Errc::malformed;
  return static_cast<PasswordAlgorithm>(read_u16(value.data()));
}

Result<std::vector<PasswordAlgorithm>> decode_password_algorithms(BytesView value) {
  std::vector<PasswordAlgorithm> algorithms;
  while (!value.empty() && algorithms.size() < kMaxPasswordAlgorithms) {
    PYRSIA_TRY(const auto algorithm, decode_password_algorithm(value));
    algorithms.push_back(algorithm);
    const auto size = (4U + read_u16(&value[2]) + 3U) & ~3U;
    value = value.subspan(std::min<std::size_t>(size, value.size()));
  }
  if (algorithms.empty()) return Errc::malformed;
  return algorithms;
}

std::optional<SecurityFeatures> security_features(std::string_view nonce) {
  if (!nonce.starts_with(kNonceCookie)) return std::nullopt;
  const auto letters = nonce.substr(kNonceCookie.size(), kFeatureLetters);
  const auto bits = from_multibase("m" + std::string(letters));
  if (!bits || bits->size() != 3) return std::nullopt;
  return SecurityFeatures{((*bits)[2] & 1) != 0, ((*bits)[2] & 2) != 0};
}

std::string name(AttributeType type) {
  using enum AttributeType;
  switch (type) {
    case mapped_address: return "MAPPED-ADDRESS";
    case response_address: return "RESPONSE-ADDRESS";
    case change_request: return "CHANGE-REQUEST";
    case source_address: return "SOURCE-ADDRESS";
    case changed_address: return "CHANGED-ADDRESS";
    case username: return "USERNAME";
    case message_integrity: return "MESSAGE-INTEGRITY";
    case error_code: return "ERROR-CODE";
    case unknown_attributes: return "UNKNOWN-ATTRIBUTES";
    case realm: return "REALM";
    case nonce: return "NONCE";
    case message_integrity_sha256: return "MESSAGE-INTEGRITY-SHA256";
    case password_algorithm: return "PASSWORD-ALGORITHM";
    case userhash: return "USERHASH";
    case xor_mapped_address: return "XOR-MAPPED-ADDRESS";
    case padding: return "PADDING";
    case response_port: return "RESPONSE-PORT";
    case password_algorithms: return "PASSWORD-ALGORITHMS";
    case alternate_domain: return "ALTERNATE-DOMAIN";
    case software: return "SOFTWARE";
    case alternate_server: return "ALTERNATE-SERVER";
    case cache_timeout: return "CACHE-TIMEOUT";
    case fingerprint: return "FINGERPRINT";
    case response_origin: return "RESPONSE-ORIGIN";
    case other_address: return "OTHER-ADDRESS";
    case lend_expiry:
    case lend_transaction:
    case lend_signature: break;
  }
  std::array<std::uint8_t, 2> number{};
  write_u16(number.data(), static_cast<std::uint16_t>(type));
  return "0x" + to_hex(number);
}

}  // namespace pyrsia::stun

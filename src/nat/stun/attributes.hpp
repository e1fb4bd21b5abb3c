/// What the values of STUN attributes mean. Spec: RFC 8489, 14; RFC 5780, 7.
#pragma once

#include "nat/stun/message.hpp"

#include <pyrsia/ip.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::stun {

/// MAPPED-ADDRESS and all that share its form: ALTERNATE-SERVER, RESPONSE-ORIGIN, OTHER-ADDRESS, …
/// Errors: `Errc::malformed`, `Errc::not_supported` (family).
Result<Endpoint> decode_address(BytesView value);
/// XOR-MAPPED-ADDRESS. Errors: as decode_address().
Result<Endpoint> decode_xor_address(BytesView value, const Header& header);

/// Where the sender of the request was seen: XOR-MAPPED-ADDRESS, of an RFC 3489 server
/// MAPPED-ADDRESS. Errors: `Errc::not_found`, those of decode_address().
Result<Endpoint> mapped_address(const Message& response);
/// An address attribute that a response may lack or garble; then nothing.
std::optional<Endpoint> find_address(const Message& message, AttributeType type);

/// Bytes of text that an attribute may hold as others write it. What we write has fewer than 128
/// characters as well, see Builder::add(). Spec: RFC 8489, 14.3, 14.8, 14.9, 14.10 and 14.14.
inline constexpr std::size_t kMaxUsernameBytes = 508;
inline constexpr std::size_t kMaxTextBytes = 763;    ///< REALM, NONCE, SOFTWARE, a reason phrase.
inline constexpr std::size_t kMaxDomainBytes = 255;  ///< ALTERNATE-DOMAIN. RFC 8489, 14.16.

/// USERNAME, REALM, NONCE or SOFTWARE. Any bytes: fit to be shown it is after printable().
/// Errors: `Errc::malformed` (longer than the attribute may be).
Result<std::string_view> decode_text(AttributeType type, BytesView value);
/// ALTERNATE-DOMAIN: labels of letters, digits, '-' and '_', with dots between them. Errors:
/// `Errc::malformed`.
Result<std::string_view> decode_alternate_domain(BytesView value);
/// USERHASH: see userhash(). Errors: `Errc::malformed`.
Result<std::array<std::uint8_t, 32>> decode_userhash(BytesView value);

struct ErrorCode {
  int code = 0;  ///< 300 to 699.
  std::string_view reason;
};
/// Errors: `Errc::malformed` (also a reason that is too long).
Result<ErrorCode> decode_error_code(BytesView value);

/// UNKNOWN-ATTRIBUTES; at most `kMaxUnknown` are returned. Errors: `Errc::malformed` (odd size).
inline constexpr std::size_t kMaxUnknown = 16;
Result<std::vector<std::uint16_t>> decode_unknown_attributes(BytesView value);

/// CHANGE-REQUEST: the response shall come from elsewhere. Spec: RFC 5780, 7.2.
struct ChangeRequest {
  bool ip = false;
  bool port = false;
  bool operator==(const ChangeRequest&) const = default;
};
/// Errors: `Errc::malformed`.
Result<ChangeRequest> decode_change_request(BytesView value);

/// RESPONSE-PORT: four bytes with two of reserve, as RFC 5780, 7.5 says, or two, as some send.
/// Errors: `Errc::malformed` (also port 0).
Result<std::uint16_t> decode_response_port(BytesView value);

enum class PasswordAlgorithm : std::uint16_t { md5 = 1, sha256 = 2 };
/// PASSWORD-ALGORITHM. Errors: `Errc::malformed`.
Result<PasswordAlgorithm> decode_password_algorithm(BytesView value);
/// PASSWORD-ALGORITHMS, best first as the server has it; at most eight are read, those that we do
/// not know too. Errors: `Errc::malformed`.
Result<std::vector<PasswordAlgorithm>> decode_password_algorithms(BytesView value);

/// What a server's nonce says that it can do, so that nobody between can take it out of the answer
/// (bid-down). Spec: RFC 8489, 9.2 and 18.1 with erratum 6290: bit 0 is the lowest.
struct SecurityFeatures {
  bool password_algorithms = false;
  bool username_anonymity = false;
  bool operator==(const SecurityFeatures&) const = default;
};
/// Nothing: the nonce has no cookie, so the server says nothing of it.
std::optional<SecurityFeatures> security_features(std::string_view nonce);

/// "Binding", "XOR-MAPPED-ADDRESS", or the number in hex.
std::string name(AttributeType type);

}  // namespace pyrsia::stun

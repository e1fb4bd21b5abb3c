/// What the values of STUN attributes mean. Spec: RFC 8489, 14; RFC 5780, 7.
#pragma once

#include "nat/stun/message.hpp"

#include <pyrsia/ip.hpp>

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

struct ErrorCode {
  int code = 0;  ///< 300 to 699.
  std::string_view reason;
};
/// Errors: `Errc::malformed`.
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

/// "Binding", "XOR-MAPPED-ADDRESS", or the number in hex.
std::string name(AttributeType type);

}  // namespace pyrsia::stun

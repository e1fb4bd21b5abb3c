/// The messages of NAT-PMP. Spec: RFC 6886, section 3.
#pragma once

#include "nat/portmap/mapping.hpp"

#include <pyrsia/bytes.hpp>

#include <optional>
#include <string>

namespace pyrsia::portmap::nat_pmp {

inline constexpr std::uint8_t kVersion = 0;
inline constexpr std::uint16_t kServerPort = 5351;
inline constexpr std::size_t kMaxMessageBytes = 64;  ///< Our limit; the longest has 16.

/// Section 3.5.
enum class ResultCode : std::uint16_t {
  success = 0,
  unsupported_version = 1,
  not_authorized = 2,
  network_failure = 3,
  out_of_resources = 4,
  unsupported_opcode = 5,
};

/// "Not Authorized", or "result 99".
std::string name(ResultCode code);
/// What it means, for a person.
std::string_view meaning(ResultCode code);
/// As pcp::error_of().
Errc error_of(ResultCode code);

/// Asks for the external address, or, with a mapping, for that.
struct Request {
  struct Mapping {
    Transport transport = Transport::udp;
    std::uint16_t internal_port = 0;
    std::uint16_t external_port = 0;
    std::uint32_t lifetime_seconds = 0;
    auto operator<=>(const Mapping&) const = default;
  };
  std::optional<Mapping> mapping;

  auto operator<=>(const Request&) const = default;
};

struct Response {
  ResultCode result = ResultCode::success;
  std::uint32_t epoch_seconds = 0;
  std::optional<Request::Mapping> mapping;  ///< As granted.
  IpAddress external;                       ///< Without a mapping.

  auto operator<=>(const Response&) const = default;
};

Bytes encode(const Request& request);
Bytes encode(const Response& response);
/// Errors: `Errc::malformed`, `Errc::too_large`, `Errc::not_supported` (version, opcode).
Result<Request> decode_request(BytesView bytes);
/// Errors may come in the eight bytes that they need. Errors: as decode_request().
Result<Response> decode_response(BytesView bytes);

/// One line: "NAT-PMP map tcp 44000, lifetime 7200 s".
std::string to_string(const Request& request);
/// "NAT-PMP Success: tcp 44000 is port 44000 for 7200 s, epoch 77 s".
std::string to_string(const Response& response);

}  // namespace pyrsia::portmap::nat_pmp

/// The messages of the Port Control Protocol. Spec: RFC 6887, sections 7, 11.1, 12.1, 13, 14.1.
#pragma once

#include "nat/portmap/mapping.hpp"

#include <pyrsia/bytes.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::portmap::pcp {

inline constexpr std::uint8_t kVersion = 2;
inline constexpr std::uint16_t kServerPort = 5351;
inline constexpr std::uint16_t kClientPort = 5350;     ///< Where routers announce restarts.
inline constexpr std::size_t kMaxMessageBytes = 1100;  ///< Section 7.
inline constexpr std::size_t kMaxOptions = 16;         ///< Our limit; there are three kinds.

enum class Opcode : std::uint8_t { announce = 0, map = 1, peer = 2 };

/// Section 7.4.
enum class ResultCode : std::uint8_t {
  success = 0,
  unsupp_version = 1,
  not_authorized = 2,
  malformed_request = 3,
  unsupp_opcode = 4,
  unsupp_option = 5,
  malformed_option = 6,
  network_failure = 7,
  no_resources = 8,
  unsupp_protocol = 9,
  user_ex_quota = 10,
  cannot_provide_external = 11,
  address_mismatch = 12,
  excessive_remote_peers = 13,
};

/// "NOT_AUTHORIZED", or "result 99".
std::string name(ResultCode code);
/// What it means, for a person.
std::string_view meaning(ResultCode code);
/// What the caller may do: `Errc::not_supported` (another protocol), `Errc::unavailable` (later),
/// `Errc::refused` (nothing here), `Errc::protocol_violation` (one of us is wrong).
Errc error_of(ResultCode code);

using Nonce = std::array<std::uint8_t, 12>;

/// What MAP and PEER have in common. IPv4 addresses travel as ::ffff:a.b.c.d.
struct Mapping {
  Nonce nonce{};
  std::uint8_t protocol = 0;  ///< IANA's number; 0: all of them.
  std::uint16_t internal_port = 0;
  Endpoint external;
  std::optional<Endpoint> remote;  ///< PEER only.

  auto operator<=>(const Mapping&) const = default;
};

/// Section 13.3. `prefix_bits` 0 takes all filters away.
struct Filter {
  std::uint8_t prefix_bits = 0;  ///< Of an IPv6 address; an IPv4 one has 96 more.
  Endpoint remote;

  auto operator<=>(const Filter&) const = default;
};

struct Options {
  std::optional<IpAddress> third_party;  ///< Section 13.1. Off unless somebody asks for it.
  bool prefer_failure = false;           ///< Section 13.2.
  std::vector<Filter> filters;

  auto operator<=>(const Options&) const = default;
};

struct Request {
  std::uint8_t version = kVersion;
  Opcode opcode = Opcode::announce;
  std::uint32_t lifetime_seconds = 0;
  IpAddress client;
  std::optional<Mapping> mapping;  ///< MAP and PEER have one.
  Options options;

  auto operator<=>(const Request&) const = default;
};

struct Response {
  std::uint8_t version = kVersion;
  Opcode opcode = Opcode::announce;
  ResultCode result = ResultCode::success;
  std::uint32_t lifetime_seconds = 0;  ///< Of an error: how long it will last.
  std::uint32_t epoch_seconds = 0;
  std::optional<Mapping> mapping;  ///< Of a success of MAP and PEER; of errors if it came back.
  Options options;

  auto operator<=>(const Response&) const = default;
};

/// The request fits what the specification wants; that is the caller's to see to.
Bytes encode(const Request& request);
Bytes encode(const Response& response);
/// Unknown optional options (128 and above) are passed over. Of another version only the header is
/// read. Errors: `Errc::malformed`, `Errc::too_large`, `Errc::not_supported` (opcode, or an option
/// that must be understood).
Result<Request> decode_request(BytesView bytes);
/// Errors: as decode_request(). Options that we do not know are passed over.
Result<Response> decode_response(BytesView bytes);

/// One line: "PCP MAP tcp 44000, lifetime 7200 s, from 192.168.1.2".
std::string to_string(const Request& request);
/// "PCP MAP SUCCESS: tcp 44000 is 1.2.3.4:44000 for 7200 s, epoch 77 s".
std::string to_string(const Response& response);

}  // namespace pyrsia::portmap::pcp

/// The messages of UPnP: SSDP, device descriptions, SOAP. XML is read by miniupnpc's parsers.
/// Spec: UPnP Device Architecture 1.1; WANIPConnection:1 and :2; WANIPv6FirewallControl:1.
#pragma once

#include "nat/portmap/client.hpp"

#include <pyrsia/bytes.hpp>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyrsia::portmap::upnp {

inline constexpr std::uint16_t kSsdpPort = 1900;
inline const IpAddress kSsdpGroup = IpAddress::v4({239, 255, 255, 250});
/// ff02::c: everybody on the link. UPnP Device Architecture 1.1, annex A.
inline const IpAddress kSsdpGroupV6 =
    IpAddress::v6({0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c});
// Our limits: routers describe themselves in some 10 KiB, answer in under 2.
inline constexpr std::size_t kMaxSsdpBytes = 2048;
inline constexpr std::size_t kMaxDescriptionBytes = std::size_t(128) << 10;
inline constexpr std::size_t kMaxAnswerBytes = std::size_t(16) << 10;
inline constexpr std::size_t kMaxUrlBytes = 512;

/// What is searched for: gateways of both versions, and their connections alone.
std::span<const std::string_view> search_targets();
/// The M-SEARCH for one of them, to the group of one family; devices answer within a second.
std::string search_message(std::string_view target, bool is_v6);

/// The URL of a description in an answer to M-SEARCH. Errors: `Errc::malformed`,
/// `Errc::too_large`, `Errc::not_supported` (not an answer, or of another kind of device).
Result<std::string> read_search_answer(BytesView bytes);

/// The host of "http://192.168.1.1:5000/x", if that is an IP address and the scheme is http.
std::optional<IpAddress> host_of(std::string_view url);

struct Service {
  std::string type;  ///< "urn:schemas-upnp-org:service:WANIPConnection:1"
  std::string control_url;

  auto operator<=>(const Service&) const = default;
};

struct Description {
  std::vector<Service> connections;  ///< WANIPConnection and WANPPPConnection, at most two.
  std::optional<Service> firewall;   ///< WANIPv6FirewallControl
  std::string name = {};             ///< friendlyName of the root device: at most 64 bytes.

  auto operator<=>(const Description&) const = default;
};

/// `url` is where it came from: control URLs may be relative to it. Services whose control URL is
/// not on the same host as `url` are left out, and those whose type or URL could split a request.
/// Errors: `Errc::malformed`, `Errc::too_large`.
Result<Description> read_description(std::string_view xml, const std::string& url);

using Arguments = std::vector<std::pair<std::string_view, std::string>>;

/// The body of a SOAP call.
std::string write_call(const Service& service, std::string_view action, const Arguments& arguments);
/// The names and values in an answer, "errorCode" and "errorDescription" of a fault among them; at
/// most 64 of them. Values are cut off after 127 bytes. Errors: `Errc::too_large`.
Result<std::map<std::string, std::string>> read_answer(std::string_view xml);

/// What an error code of UPnP means, for a person.
std::string_view meaning(int code);
/// As pcp::error_of().
Errc error_of(int code);

}  // namespace pyrsia::portmap::upnp

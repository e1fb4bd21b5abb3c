/// What is asked of a router, and what it grants: the same for all three protocols.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyrsia::portmap {

/// Values are IANA's protocol numbers.
enum class Transport : std::uint8_t { tcp = 6, udp = 17 };

/// "tcp", "udp".
std::string_view name(Transport transport);

/// The protocols that routers speak, best first: PCP knows lifetimes, reboots, CGNs and IPv6,
/// NAT-PMP the first two, UPnP hardly one of them.
enum class Method { pcp, nat_pmp, upnp };

inline constexpr std::array kMethods{Method::pcp, Method::nat_pmp, Method::upnp};

/// "pcp", "nat-pmp", "upnp".
std::string_view name(Method method);
/// As name() has it. Errors: `Errc::malformed`.
Result<Method> parse_method(std::string_view text);

/// A port of ours, whatever the router.
struct Port {
  Transport transport = Transport::tcp;
  std::uint16_t number = 0;

  std::string to_string() const;  ///< "tcp 44000"
  auto operator<=>(const Port&) const = default;
};

/// One mapping as it is asked for.
struct MapRequest {
  Transport transport = Transport::tcp;
  /// Where the router shall send what comes: an address of ours, or the outside of the router
  /// before this one.
  Endpoint internal;
  /// What we would like to have outside; port 0 and an unspecified IP: whatever there is.
  Endpoint suggested;
  Duration lifetime = std::chrono::hours(2);  ///< 0 takes the mapping away.

  auto operator<=>(const MapRequest&) const = default;
};

/// What the router made of it.
struct Grant {
  Endpoint external;             ///< The IP is unspecified where the protocol does not tell it.
  Duration lifetime{0};          ///< As granted. 0: until the router restarts.
  std::uint32_t pinhole_id = 0;  ///< UPnP's name for an IPv6 pinhole.
  Method method = Method::pcp;   ///< By which it was made.

  auto operator<=>(const Grant&) const = default;
};

/// The longest lifetime that is believed; routers that grant more are asked again after this.
inline constexpr Duration kMaxLifetime = std::chrono::hours(24);

}  // namespace pyrsia::portmap

#pragma once

#include <pyrsia/result.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pyrsia {

/// An IPv4 or IPv6 address, in network byte order. Without a zone.
class IpAddress {
 public:
  IpAddress() = default;  ///< 0.0.0.0
  static IpAddress v4(std::array<std::uint8_t, 4> bytes);
  static IpAddress v6(std::array<std::uint8_t, 16> bytes);
  static IpAddress v4_any() { return {}; }
  static IpAddress v6_any() { return v6({}); }
  static IpAddress v4_loopback() { return v4({127, 0, 0, 1}); }
  /// From "192.0.2.1" or "2001:db8::1". Errors: `Errc::malformed`.
  static Result<IpAddress> parse(std::string_view text);

  bool is_v4() const { return !is_v6_; }
  bool is_v6() const { return is_v6_; }
  bool is_unspecified() const;
  bool is_loopback() const;  ///< 127.0.0.0/8 or ::1.
  /// 4 or 16 bytes.
  std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v6_ ? 16U : 4U}; }
  /// The IPv4 address inside ::ffff:a.b.c.d; any other address as it is.
  IpAddress unmapped() const;
  /// True if the first `bits` bits equal those of `network`, which is of the same family.
  bool is_in(const IpAddress& network, unsigned bits) const;
  std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  bool is_v6_ = false;
  std::array<std::uint8_t, 16> bytes_{};
};

/// An IP address and a TCP or UDP port.
struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;

  std::string to_string() const;  ///< "192.0.2.1:80", "[2001:db8::1]:80"
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace pyrsia

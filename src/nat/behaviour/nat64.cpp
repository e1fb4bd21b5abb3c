#include "nat/behaviour/nat64.hpp"

#include "multi/address_class.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia::nat {
namespace {

constexpr std::array<unsigned, 6> kLengths{96, 64, 56, 48, 40, 32};
/// 192.0.0.170 and .171: ipv4only.arpa. RFC 7050, 8.
constexpr std::array<std::array<std::uint8_t, 4>, 2> kWellKnown{
    {{192, 0, 0, 170}, {192, 0, 0, 171}}};

/// Where the four bytes stand: behind the prefix, and around bits 64 to 71, which are 0.
std::array<std::size_t, 4> places(unsigned bits) {
  std::array<std::size_t, 4> at{};
  std::size_t next = bits / 8;
  for (auto& place : at) {
    if (next == 8) ++next;
    place = next++;
  }
  return at;
}

std::array<std::uint8_t, 16> bytes_of(const IpAddress& ip) {
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(ip.bytes(), bytes.begin());
  return bytes;
}

std::array<std::uint8_t, 4> v4_at(const IpAddress& ip, unsigned bits) {
  std::array<std::uint8_t, 4> v4{};
  const auto at = places(bits);
  for (std::size_t i = 0; i < v4.size(); ++i) v4[i] = ip.bytes()[at[i]];
  return v4;
}

}  // namespace

std::string Nat64Prefix::to_string() const {
  return ip.to_string() + "/" + std::to_string(bits);
}

IpAddress synthesize(const Nat64Prefix& prefix, const IpAddress& v4) {
  assert(v4.is_v4() && prefix.ip.is_v6());
  auto bytes = bytes_of(prefix.ip);
  const auto at = places(prefix.bits);
  for (std::size_t i = 0; i < at.size(); ++i) bytes[at[i]] = v4.bytes()[i];
  return IpAddress::v6(bytes);
}

Endpoint through(const Nat64Prefix& prefix, Endpoint endpoint) {
  if (endpoint.ip.is_v4()) endpoint.ip = synthesize(prefix, endpoint.ip);
  return endpoint;
}

IpAddress behind(const Nat64Prefix& prefix, const IpAddress& ip) {
  if (ip.is_v4() || !ip.is_in(prefix.ip, prefix.bits)) return ip;
  return IpAddress::v4(v4_at(ip, prefix.bits));
}

std::optional<Nat64Prefix> nat64_prefix_named(std::string_view text) {
  const auto ip = IpAddress::parse(text.substr(0, text.find('/')));
  if (!ip || !ip->is_v6()) return std::nullopt;
  for (const auto bits : kLengths) {
    const Nat64Prefix prefix{*ip, bits};
    if (text.ends_with("/" + std::to_string(bits))) return prefix;
  }
  return std::nullopt;
}

std::optional<Nat64Prefix> prefix_in(std::span<const IpAddress> addresses) {
  for (const auto& ip : addresses) {
    if (ip.is_v4()) continue;
    for (const auto bits : kLengths) {
      const auto v4 = v4_at(ip, bits);
      if (v4 != kWellKnown[0] && v4 != kWellKnown[1]) continue;
      auto bytes = bytes_of(ip);
      std::fill(bytes.begin() + bits / 8, bytes.end(), std::uint8_t(0));
      const Nat64Prefix prefix{IpAddress::v6(bytes), bits};
      // A whole fit: the suffix must be what synthesize() makes.
      if (synthesize(prefix, IpAddress::v4(v4)) == ip) return prefix;
    }
  }
  return std::nullopt;
}

bool has_ipv6_only(Env& env) {
  const AddressClassifier classifier;
  const auto interfaces = env.interface_addresses();
  const auto has_global = [&](bool is_v6) {
    return std::ranges::any_of(interfaces, [&](const InterfaceAddress& each) {
      return each.ip.is_v6() == is_v6 && classifier.classify(each.ip) == AddressClass::global;
    });
  };
  const auto gateways = env.default_gateways();
  const auto is_v4 = [](const Gateway& each) { return each.ip.is_v4(); };
  return has_global(true) && !has_global(false) && std::ranges::none_of(gateways, is_v4);
}

bool has_ipv6_address(Env& env) {
  const AddressClassifier classifier;
  return std::ranges::any_of(env.interface_addresses(), [&](const InterfaceAddress& each) {
    const auto what = classifier.classify(each.ip);
    return each.ip.is_v6() && (what == AddressClass::global || what == AddressClass::private_use);
  });
}

Task<std::optional<Nat64Prefix>> find_nat64(Env& env) {
  const auto addresses = co_await env.resolve("ipv4only.arpa", IpFamily::v6);
  if (!addresses && addresses.error() == Errc::not_found) co_return std::nullopt;
  if (!addresses) co_return addresses.error();
  co_return prefix_in(*addresses);
}

}  // namespace pyrsia::nat

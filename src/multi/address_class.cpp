#include "multi/address_class.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pyrsia {
namespace {

using enum AddressClass;

struct Row {
  std::array<std::uint8_t, 16> bytes;  ///< An IPv4 network in the first four.
  unsigned bits;
  AddressClass address_class;
  std::string_view name;  ///< In the registry.
  std::string_view source;
};

// The first row that matches counts, so exceptions stand before the network that they are in.
constexpr std::array kIpv4{
    Row{{0}, 8, unusable, "this network", "RFC 791"},
    Row{{10}, 8, private_use, "private use", "RFC 1918"},
    Row{{100, 64}, 10, private_use, "shared address space of a carrier's NAT", "RFC 6598"},
    Row{{127}, 8, loopback, "loopback", "RFC 1122"},
    Row{{169, 254}, 16, link_local, "link local", "RFC 3927"},
    Row{{172, 16}, 12, private_use, "private use", "RFC 1918"},
    Row{{192, 0, 0, 9}, 32, global, "PCP anycast", "RFC 7723"},
    Row{{192, 0, 0, 10}, 32, global, "TURN anycast", "RFC 8155"},
    Row{{192, 0, 0}, 24, unusable, "IETF protocol assignments", "RFC 6890"},
    Row{{192, 0, 2}, 24, unusable, "documentation (TEST-NET-1)", "RFC 5737"},
    Row{{192, 88, 99}, 24, unusable, "deprecated 6to4 relay anycast", "RFC 7526"},
    Row{{192, 168}, 16, private_use, "private use", "RFC 1918"},
    Row{{198, 18}, 15, unusable, "benchmarking", "RFC 2544"},
    Row{{198, 51, 100}, 24, unusable, "documentation (TEST-NET-2)", "RFC 5737"},
    Row{{203, 0, 113}, 24, unusable, "documentation (TEST-NET-3)", "RFC 5737"},
    Row{{224}, 4, unusable, "multicast", "RFC 5771"},
    Row{{255, 255, 255, 255}, 32, unusable, "limited broadcast", "RFC 919"},
    Row{{240}, 4, unusable, "reserved", "RFC 1112"},
    Row{{0}, 0, global, "", ""},
};

constexpr std::array kIpv6{
    Row{{}, 128, unusable, "unspecified address", "RFC 4291"},
    Row{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, loopback, "loopback", "RFC 4291"},
    Row{{0x00, 0x64, 0xff, 0x9b}, 96, global, "IPv4-IPv6 translation (NAT64)", "RFC 6052"},
    Row{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, global, "local NAT64", "RFC 8215"},
    Row{{0x20, 0x01, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
        128,
        global,
        "PCP anycast",
        "RFC 7723"},
    Row{{0x20, 0x01, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
        128,
        global,
        "TURN anycast",
        "RFC 8155"},
    Row{{0x20, 0x01, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3},
        128,
        global,
        "DNS-SD anycast",
        "RFC 9665"},
    Row{{0x20, 0x01, 0x00, 0x03}, 32, global, "AMT", "RFC 7450"},
    Row{{0x20, 0x01, 0x00, 0x04, 0x01, 0x12}, 48, global, "AS112", "RFC 7535"},
    Row{{0x20, 0x01, 0x00, 0x20}, 28, global, "ORCHIDv2", "RFC 7343"},
    Row{{0x20, 0x01, 0x00, 0x30}, 28, global, "drone remote id", "RFC 9374"},
    Row{{0x20, 0x01, 0x00, 0x00}, 32, unusable, "Teredo", "RFC 4380"},
    Row{{0x20, 0x01, 0x00, 0x02}, 48, unusable, "benchmarking", "RFC 5180"},
    Row{{0x20, 0x01}, 23, unusable, "IETF protocol assignments", "RFC 2928"},
    Row{{0x20, 0x01, 0x0d, 0xb8}, 32, unusable, "documentation", "RFC 3849"},
    Row{{0x20, 0x02}, 16, unusable, "6to4, which nobody relays any more", "RFC 7526"},
    Row{{0x3f, 0xff}, 20, unusable, "documentation", "RFC 9637"},
    Row{{0xfc}, 7, private_use, "unique local", "RFC 4193"},
    Row{{0xfe, 0x80}, 10, link_local, "link local", "RFC 4291"},
    Row{{0xff}, 8, unusable, "multicast", "RFC 4291"},
    Row{{0x20}, 3, global, "", ""},
    // Not given out, discard, site-local, segment routing.
    Row{{}, 0, unusable, "not given out for unicast", "RFC 4291"},
};

using Name = std::pair<std::string_view, AddressClass>;

// Names that no public server answers for, with all names below them.
constexpr std::array kNames{
    Name{"localhost", loopback},                             // RFC 6761
    Name{"local", private_use},                              // RFC 6762
    Name{"home.arpa", private_use},                          // RFC 8375
    Name{"internal", private_use},                           // reserved for private use, ICANN 2024
    Name{"in-addr.arpa", unusable},                          // reverse zones
    Name{"ip6.arpa", unusable},     Name{"test", unusable},  // RFC 6761
    Name{"invalid", unusable},                               // RFC 6761
    Name{"example", unusable},                               // RFC 6761
    Name{"onion", unusable},                                 // RFC 7686
    Name{"alt", unusable},                                   // RFC 9476
};

IpAddress network_of(const Row& row, bool is_v6) {
  if (is_v6) return IpAddress::v6(row.bytes);
  return IpAddress::v4({row.bytes[0], row.bytes[1], row.bytes[2], row.bytes[3]});
}

/// The last row of each table matches everything.
const Row& look_up(const IpAddress& ip, std::span<const Row> rows) {
  for (const auto& row : rows) {
    if (ip.is_in(network_of(row, ip.is_v6()), row.bits)) return row;
  }
  return rows.back();
}

const Row& look_up(const IpAddress& ip) {
  return ip.is_v6() ? look_up(ip, kIpv6) : look_up(ip, kIpv4);
}

AddressClass classify_name(std::string_view written) {
  if (written.ends_with('.')) written.remove_suffix(1);
  std::string dns(written);
  for (auto& c : dns) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (const auto& [special, address_class] : kNames) {
    if (!dns.ends_with(special)) continue;
    if (dns.size() == special.size() || dns[dns.size() - special.size() - 1] == '.') {
      return address_class;
    }
  }
  return dns.empty() ? unusable : global;
}

}  // namespace

std::string_view name(AddressClass address_class) {
  switch (address_class) {
    case unusable: return "unusable";
    case loopback: return "loopback";
    case link_local: return "link_local";
    case private_use: return "private_use";
    case global: return "global";
  }
  return "unknown";
}

std::optional<SpecialRange> special_range(const IpAddress& ip) {
  const auto address = ip.unmapped();
  const auto& row = look_up(address);
  if (row.name.empty()) return std::nullopt;
  const auto network = network_of(row, address.is_v6()).to_string();
  return SpecialRange{network + "/" + std::to_string(row.bits), row.name, row.source};
}

void AddressClassifier::treat_as_global(const IpAddress& network, unsigned bits) {
  extra_global_.push_back({network, bits});
}

AddressClass AddressClassifier::classify(const IpAddress& ip) const {
  const auto address = ip.unmapped();
  const auto covers = [&](const Network& network) {
    return address.is_in(network.ip, network.bits);
  };
  if (std::ranges::any_of(extra_global_, covers)) return global;
  return look_up(address).address_class;
}

AddressClass AddressClassifier::classify(const Multiaddr& address) const {
  if (address.is_relayed()) return unusable;
  if (const auto ip = address.ip()) return classify(*ip);
  const auto dns = address.dns_name();
  if (!dns) return unusable;
  const auto literal = IpAddress::parse(*dns);  // Some write an IP address where a name belongs.
  return literal ? classify(*literal) : classify_name(*dns);
}

}  // namespace pyrsia

/// The one table of special-purpose addresses: who may be told an address, and who can use it.
/// Sources: IANA special-purpose address registries (RFC 6890 and updates), of DNS names RFC 6761
/// and updates.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/multiaddr.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia {

/// Ordered: each class can be reached from less of the world than the next.
enum class AddressClass {
  unusable,     ///< Unspecified, multicast, documentation, reserved, broadcast, relayed.
  loopback,     ///< 127.0.0.0/8, ::1, localhost
  link_local,   ///< 169.254.0.0/16, fe80::/10
  private_use,  ///< RFC 1918, fc00::/7, 100.64.0.0/10 (CGNAT), .local names
  global,       ///< Everybody.
};

std::string_view name(AddressClass address_class);

/// An entry of the special-purpose registries.
struct SpecialRange {
  std::string network;  ///< "10.0.0.0/8"
  std::string_view name;
  std::string_view source;  ///< "RFC 1918"
};

/// The entry that `ip` falls under; none if it is an address like any other.
std::optional<SpecialRange> special_range(const IpAddress& ip);

/// Decides the class of every address; one object a host, handed to all that ask.
class AddressClassifier {
 public:
  /// The narrowest class that counts as reachable by others: `global` on the Internet,
  /// `private_use` in a LAN, `loopback` on one machine.
  explicit AddressClassifier(AddressClass scope = AddressClass::global) : scope_(scope) {}

  /// A network that counts as global whatever the table says: for labs. `bits` as IpAddress::is_in.
  void treat_as_global(const IpAddress& network, unsigned bits);

  AddressClass classify(const IpAddress& ip) const;
  /// Of the IP or DNS name in front. DNS names are global but for the special ones (.local,
  /// .localhost, .test, .invalid, …). Anything else is `unusable`, and so is a relayed address:
  /// the class is about direct connections; of a relay, ask with the address of the relay.
  AddressClass classify(const Multiaddr& address) const;

  /// True if peers in our scope can be expected to reach it.
  bool is_usable_by_others(const Multiaddr& address) const { return classify(address) >= scope_; }
  bool is_usable_by_others(const IpAddress& ip) const { return classify(ip) >= scope_; }
  AddressClass scope() const { return scope_; }

 private:
  struct Network {
    IpAddress ip;
    unsigned bits;
  };

  AddressClass scope_;
  std::vector<Network> extra_global_;
};

}  // namespace pyrsia

/// What `pyrsia probe` tells: facts, a verdict and the cheapest way to something better.
#pragma once

#include "nat/behaviour/behaviour.hpp"
#include "nat/behaviour/tcp_mapping.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/time.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::nat {

/// What stands between this machine and the Internet.
enum class Position {
  open,         ///< A public address, and nobody filters.
  firewall,     ///< A public address behind a filter.
  home_nat,     ///< One NAT: the router itself has the address that others see.
  double_nat,   ///< The router has a private address outside itself.
  carrier_nat,  ///< The provider shares one public address: 100.64.0.0/10.
};

/// What the router says about port mapping, and does.
struct GatewayFacts {
  std::optional<IpAddress> router;  ///< Of the default route.
  std::string name;                 ///< What it calls itself; empty: nothing.
  std::optional<bool> has_pcp;
  std::optional<bool> has_nat_pmp;
  std::optional<bool> has_upnp;
  std::optional<IpAddress> external_ip;    ///< Of the router, in its own words. Never a lie.
  std::optional<bool> has_outside;         ///< False: it says that it has no address outside.
  std::optional<bool> is_mapped;           ///< It opens ports of ours to the world.
  std::string mapping_why;                 ///< How it does, or why it does not. One line.
  std::optional<IpAddress> second_router;  ///< Behind it another one answers.
};

/// Over what strangers get in.
struct WaysIn {
  bool udp_v4 = false;
  bool tcp_v4 = false;
  bool udp_v6 = false;
  bool tcp_v6 = false;

  bool operator==(const WaysIn&) const = default;
};

/// Which routers are on the way to a server, in their order, and which of them has the address that
/// servers see us at: told by datagrams that may pass few routers only. Needs no router that speaks
/// PCP, NAT-PMP or UPnP.
struct HopFacts {
  /// At most HopTrace::kMaxHops; nothing: that one is silent. That one is private is no proof that
  /// it translates, or that the one before does.
  std::vector<std::optional<IpAddress>> routers;
  /// So many of them have not got that address: they send on what is meant for it.
  std::size_t passed_count = 0;
  /// The first one has it: it is the only NAT. False: a NAT further away has it.
  std::optional<bool> first_has_mapped;
};

/// How many NATs are one behind the other.
struct NatLayers {
  std::optional<int> count;  ///< 2: two or more. Nothing: unknown.
  std::string why;           ///< What that rests on, or why it is unknown. One line.
};

/// Everything that a probe found out. Schema of its JSON: pyrsia.probe/1 (report_document.hpp).
struct Report {
  UdpBehaviour udp;  ///< Over IPv4, or over IPv6 where there is nothing else.
  TcpBehaviour tcp;
  std::optional<bool> has_tls;         ///< A server answered over TLS. Nothing: none was asked.
  std::optional<Endpoint> mapped_tls;  ///< Where it saw us.
  /// A server was reached over IPv6. False: there is no address, or several servers are silent.
  std::optional<bool> has_ipv6;
  std::optional<Endpoint> mapped_v6;       ///< Where it saw us.
  std::optional<bool> has_nat_v6;          ///< That was none of our own addresses.
  std::optional<Dependence> filtering_v6;  ///< Who gets in over IPv6.
  std::optional<bool> is_captive;          ///< A portal answers in the name of others.
  std::optional<bool> has_nat64;
  std::string nat64_prefix;
  GatewayFacts gateway;
  HopFacts hops;
  std::optional<IpAddress> interface_ip;  ///< That packets to the server leave from.
  std::optional<Position> position;
  Reachability reachable = Reachability::unknown;  ///< The running node's verdict.
  std::string reachable_why;
  std::optional<WaysIn> ways_in;        ///< That peers have tried with success, if reachable.
  std::vector<Endpoint> servers;        ///< That were asked.
  std::vector<std::string> unresolved;  ///< Names of servers that could not be resolved.
  std::optional<Endpoint> server;       ///< That answered the tests.
  Duration took{0};
};

/// The one word for it; also what the exit code says.
enum class Verdict {
  direct,       ///< Others can connect, or most punches succeed.
  degraded,     ///< Some peers will be reached over relays only.
  relayed,      ///< Most peers will.
  unreachable,  ///< As relayed, and the running node is reached over no relay either.
  udp_blocked,
  captive,
  offline,  ///< Nobody answered at all.
};

struct Advice {
  Verdict verdict = Verdict::offline;
  std::string summary;  ///< One sentence.
  std::string fix;      ///< The cheapest that helps; empty: nothing needs to be done.
};

std::string_view name(Position position);
/// The reverse. Nothing: no such name.
std::optional<Position> position_named(std::string_view name);
std::string_view name(Verdict verdict);
/// 0, 11, 10, 20, 21, 22, 30.
int exit_code(Verdict verdict);

/// A STUN server answered, over whatever, or a peer has connected to us: what no portal lets
/// happen.
bool internet_works(const Report& report);
/// Compares the interface's, the router's and the observed address; where the router does not tell
/// its own, by the hops. Nothing where they do not suffice.
std::optional<Position> position_of(const Report& report);
NatLayers nat_layers(const Report& report);
/// An address of no use outside its network: RFC 1918, the carriers' (is_carriers()), fc00::/7.
bool is_private(const IpAddress& ip);
/// Between a carrier's NAT and its customers: 100.64.0.0/10 (RFC 6598), 192.0.0.0/29 (RFC 7335).
bool is_carriers(const IpAddress& ip);
Advice advise(const Report& report);

}  // namespace pyrsia::nat

#include "nat/behaviour/report.hpp"

#include "multi/address_class.hpp"

#include <algorithm>
#include <cctype>

namespace pyrsia::nat {
namespace {

/// 100.64.0.0/10.
bool is_shared(const IpAddress& ip) {
  return ip.is_v4() && ip.is_in(IpAddress::v4({100, 64, 0, 0}), 10);
}

/// The first router beyond ours, short of the address that servers see, with an address that only
/// carriers use. (Ours would be the one with the address of a router that a carrier gave us.)
std::optional<IpAddress> carrier_hop(const HopFacts& hops) {
  if (hops.first_has_mapped != false) return std::nullopt;
  // The one behind the last that passes it on may have it, and stand in the carrier's network too.
  const auto end = std::min(hops.routers.size(), hops.passed_count + 1);
  for (std::size_t i = 1; i < end; ++i)
    if (hops.routers[i] && is_carriers(*hops.routers[i])) return hops.routers[i];
  return std::nullopt;
}

bool can_map_ports(const GatewayFacts& gateway) {
  return gateway.has_pcp.value_or(false) || gateway.has_nat_pmp.value_or(false) ||
         gateway.has_upnp.value_or(false);
}

/// "the router (192.168.1.1, FRITZ!Box)": whom to look for.
std::string router_text(const GatewayFacts& gateway) {
  if (!gateway.router) return "the router";
  auto text = "the router (" + gateway.router->to_string();
  if (!gateway.name.empty()) text += ", " + gateway.name;
  return text + ")";
}

/// "a, b and 3 more".
std::string names_text(const std::vector<std::string>& names) {
  constexpr std::size_t kMaxShown = 2;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMaxShown; ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMaxShown)
    text += " and " + std::to_string(names.size() - kMaxShown) + " more";
  return text;
}

bool is_open_over_v6(const Report& report) {
  return report.has_nat_v6 == false && report.filtering_v6 == Dependence::endpoint_independent;
}

/// What to do about a router that is the only one.
std::string fix_at_router(const GatewayFacts& gateway) {
  const auto router = router_text(gateway);
  if (gateway.is_mapped == true)
    return "run `pyrsia node`: " + router + " opens its ports when it is asked to";
  if (can_map_ports(gateway) && gateway.is_mapped == false)
    return "let " + router +
           " open ports for this machine, or forward the node's port there: " + gateway.mapping_why;
  if (can_map_ports(gateway)) return "";
  return "switch on PCP or UPnP in " + router + ", or forward the node's port there";
}

/// It works, but says that it has no address outside: its own is none that others could use.
bool is_most_likely_inside(const Report& report) {
  return !report.position && report.udp.has_nat == true && report.gateway.has_outside == false;
}

/// The cheapest way for somebody behind a NAT or a filter to be reached.
std::string fix_for(const Report& report) {
  if (report.has_ipv6 == true && !is_open_over_v6(report))
    return "IPv6 works here: allow incoming connections to this machine over IPv6";
  if (is_most_likely_inside(report))
    return "ask the provider for a public IPv4 address: " + router_text(report.gateway) +
           " says that it has none";
  switch (report.position.value_or(Position::home_nat)) {
    case Position::open: return "";
    case Position::firewall: return "open the node's port in the firewall, for UDP and TCP";
    case Position::carrier_nat:
      return "ask the provider for a public IPv4 address, or for IPv6: no setting here helps";
    case Position::double_nat:
      if (report.gateway.is_mapped == true) return fix_at_router(report.gateway);
      return "set the inner router to bridge mode, or forward the port on both routers";
    case Position::home_nat: break;
  }
  if (!report.position && report.hops.first_has_mapped == false)
    return "forward the node's port at the router that has the address servers see, beyond " +
           router_text(report.gateway) +
           ", and at each before it that translates; or ask who runs it";
  return fix_at_router(report.gateway);
}

Advice advise_on_nat(const Report& report) {
  const auto& udp = report.udp;
  using enum Dependence;
  if (udp.has_nat == false && udp.filtering == endpoint_independent)
    return {Verdict::direct, "Open: everybody can connect to this machine.", ""};
  if (udp.has_nat == false && !udp.filtering)
    return {Verdict::direct, "No NAT; whether a firewall filters is not known.", ""};
  if (udp.has_nat == false)
    return {Verdict::direct,
            "A public address behind a firewall: peers connect directly by hole punching.",
            fix_for(report)};
  if (udp.mapping == endpoint_independent)
    return {Verdict::direct,
            "An easy NAT: peers connect directly by hole punching, but behind the hardest NATs.",
            fix_for(report)};
  if (!udp.mapping_varies)
    return {Verdict::degraded, "A NAT of unknown kind: no server with two addresses answered.",
            "give another STUN server with --server"};
  if (*udp.mapping_varies == false)
    return {Verdict::direct, "Most likely an easy NAT: servers see one and the same port.",
            fix_for(report)};
  // How it filters is of no use: what comes in by another port is answered from a new one.
  if (is_predictable(udp) == true)
    return {Verdict::degraded,
            "A hard NAT whose ports can be guessed: direct connections often succeed.",
            fix_for(report)};
  return {Verdict::relayed,
          "A hard NAT: only peers that are open or filter by address alone connect directly, "
          "others over a relay.",
          fix_for(report)};
}

/// The same where IPv6 is open: who has it needs no hole, and only the others a relay.
Advice advise_on_nat_beside_v6(const Report& report) {
  auto advice = advise_on_nat(report);
  advice.summary.front() = static_cast<char>(std::tolower(advice.summary.front()));
  advice.summary = "Open over IPv6 for all who have it; over IPv4 " + advice.summary;
  if (advice.verdict == Verdict::direct) advice.fix.clear();
  if (advice.verdict == Verdict::relayed) advice.verdict = Verdict::degraded;
  return advice;
}

}  // namespace

std::string_view name(Position position) {
  switch (position) {
    case Position::open: return "open";
    case Position::firewall: return "firewall";
    case Position::home_nat: return "home_nat";
    case Position::double_nat: return "double_nat";
    case Position::carrier_nat: return "carrier_nat";
  }
  return "";
}

std::optional<Position> position_named(std::string_view wanted) {
  using enum Position;
  for (const auto position : {open, firewall, home_nat, double_nat, carrier_nat})
    if (name(position) == wanted) return position;
  return std::nullopt;
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::direct: return "direct";
    case Verdict::degraded: return "degraded";
    case Verdict::relayed: return "relayed";
    case Verdict::unreachable: return "unreachable";
    case Verdict::udp_blocked: return "udp_blocked";
    case Verdict::captive: return "captive";
    case Verdict::offline: return "offline";
  }
  return "";
}

int exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::direct: return 0;
    case Verdict::relayed: return 10;
    case Verdict::degraded: return 11;
    case Verdict::unreachable: return 20;
    case Verdict::udp_blocked: return 21;
    case Verdict::captive: return 22;
    case Verdict::offline: return 30;
  }
  return 30;
}

std::optional<Position> position_of(const Report& report) {
  const auto& udp = report.udp;
  if (udp.has_nat == false) {
    if (!udp.filtering) return std::nullopt;
    return *udp.filtering == Dependence::endpoint_independent ? Position::open : Position::firewall;
  }
  const auto& router = report.gateway.external_ip;
  if (router && is_shared(*router)) return Position::carrier_nat;
  if (report.interface_ip && is_shared(*report.interface_ip)) return Position::carrier_nat;
  if (!udp.mapped) return std::nullopt;
  if (!router) {
    // That there is a NAT says nothing of what may be behind it; and of two routers with private
    // addresses the inner one may only route.
    if (report.hops.first_has_mapped == true) return Position::home_nat;
    if (carrier_hop(report.hops)) return Position::carrier_nat;
    return std::nullopt;
  }
  if (*router == udp.mapped->ip) return Position::home_nat;
  // A router that is seen under another address than its own stands behind one more NAT.
  return is_private(*router) ? Position::double_nat : Position::carrier_nat;
}

NatLayers nat_layers(const Report& report) {
  const auto& router = report.gateway.external_ip;
  const auto& hops = report.hops;
  if (report.udp.has_nat == false) return {0, "servers see this machine's own address"};
  if (!report.udp.has_nat) return {std::nullopt, "no server said where it sees this machine"};
  if (!report.position && hops.first_has_mapped == false)
    return {std::nullopt,
            "the first router sends on what is for the address that servers see: a NAT is beyond "
            "it; whether it translates itself is not known"};
  if (!report.position)
    return {std::nullopt, hops.passed_count > 0
                              ? "the first router sends on what is for the address that servers "
                                "see, perhaps by a port forward of its own"
                              : "no router tells its outside, nor which datagrams expire there"};
  if (*report.position == Position::home_nat)
    return {1, router ? "the router says that it has the address that servers see"
                      : "the first router keeps what is for the address that servers see"};
  if (router)
    return {2, "servers do not see the router at its own address outside, " + router->to_string()};
  if (const auto hop = carrier_hop(hops)) {
    // Of RFC 7335 are those of carriers whose customers' routers do not translate (DS-Lite).
    const bool is_both = is_shared(*hop);
    return {is_both ? std::optional(2) : std::nullopt,
            "beyond the first router is one of a carrier's, " + hop->to_string() +
                (is_both ? "" : "; whether the first translates is not known")};
  }
  return {std::nullopt, "this machine's own address is one of a carrier's network"};
}

bool is_private(const IpAddress& ip) {
  return is_carriers(ip) || AddressClassifier().classify(ip) == AddressClass::private_use;
}

bool is_carriers(const IpAddress& ip) {
  return is_shared(ip) || (ip.is_v4() && ip.is_in(IpAddress::v4({192, 0, 0, 0}), 29));
}

bool internet_works(const Report& report) {
  return report.reachable == Reachability::reachable || report.udp.is_blocked == false ||
         report.tcp.is_blocked == false || report.has_tls == true || report.has_ipv6 == true;
}

Advice advise(const Report& report) {
  if (report.is_captive == true && !internet_works(report))
    return {Verdict::captive, "A captive portal answers in the name of every server.",
            "open a web page and sign in to this network"};
  if (report.reachable == Reachability::reachable)
    return {Verdict::direct, "Others can connect to this node: a peer has tried.", ""};
  if (report.udp.is_blocked == false) {
    // Unless peers have tried in vain: then the node is not where the probe was.
    const bool is_beside_v6 = report.udp.has_nat == true && is_open_over_v6(report) &&
                              report.reachable != Reachability::unreachable;
    auto advice = is_beside_v6 ? advise_on_nat_beside_v6(report) : advise_on_nat(report);
    if (advice.verdict == Verdict::relayed && report.reachable == Reachability::unreachable)
      advice = {Verdict::unreachable,
                "A hard NAT, and peers have tried: nobody can connect to this node.", advice.fix};
    return advice;
  }
  if (report.udp.is_blocked == true || report.tcp.is_blocked == false)
    return {Verdict::udp_blocked,
            "UDP is blocked: only TCP gets out, so QUIC and hole punching over UDP fail.",
            "allow outgoing UDP in the firewall"};
  if (report.has_tls == true)
    return {
        Verdict::degraded,
        report.servers.empty()
            ? "The Internet is reached over TLS; of UDP nothing is known: no server was asked."
            : "The Internet is reached over TLS; over UDP no server answers: it may be blocked, "
              "or they are down.",
        "give a STUN server over UDP with --server"};
  if (report.servers.empty() && !report.has_tls && !report.unresolved.empty())
    return {Verdict::offline,
            "No STUN server could be asked: " + names_text(report.unresolved) +
                " cannot be resolved to an address.",
            "check the network and its DNS, or give a STUN server by its address with --server"};
  return {Verdict::offline, "No server answered, neither over UDP nor over TCP.",
          "check the network, or give a STUN server with --server"};
}

}  // namespace pyrsia::nat

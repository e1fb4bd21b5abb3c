#include "nat/behaviour/report.hpp"

#include "multi/address_class.hpp"

#include <cctype>

namespace pyrsia::nat {
namespace {

bool is_shared(const IpAddress& ip) {
  return ip.is_v4() && ip.is_in(IpAddress::v4({100, 64, 0, 0}), 10);
}

bool is_private(const IpAddress& ip) {
  return AddressClassifier().classify(ip) == AddressClass::private_use;
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
  const bool is_open = udp.filtering && *udp.filtering != address_and_port_dependent;
  const bool is_predictable = udp.allocation && *udp.allocation != Allocation::random &&
                              *udp.allocation != Allocation::parity;
  if (is_open || is_predictable)
    return {Verdict::degraded,
            is_open ? "A hard NAT with an open filter: peers behind easy NATs connect directly."
                    : "A hard NAT whose ports can be guessed: direct connections often succeed.",
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
  // That there is a NAT says nothing of what may be behind it.
  if (!udp.mapped || !router) return std::nullopt;
  if (*router == udp.mapped->ip) return Position::home_nat;
  // A router that is seen under another address than its own stands behind one more NAT.
  return is_private(*router) ? Position::double_nat : Position::carrier_nat;
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
  if (report.tcp.is_blocked == false || report.has_tls == true)
    return {Verdict::udp_blocked,
            "UDP is blocked: only TCP gets out, so QUIC and hole punching over UDP fail.",
            "allow outgoing UDP in the firewall"};
  return {Verdict::offline, "No server answered, neither over UDP nor over TCP.",
          "check the network, or give a STUN server with --server"};
}

}  // namespace pyrsia::nat

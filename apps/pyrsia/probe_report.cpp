#include "probe_report.hpp"

#include <fmt/format.h>

namespace pyrsia::app {
namespace {

using nat::Report;

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string yes_no(const std::optional<bool>& fact) {
  if (!fact) return "unknown";
  return *fact ? "yes" : "no";
}

std::string with_short(const std::optional<nat::Dependence>& fact, char what) {
  if (!fact) return "unknown";
  return fmt::format("{} ({})", name(*fact), short_name(*fact, what));
}

std::string udp_line(const Report& report) {
  if (report.udp.is_blocked == true) return "blocked";
  if (!report.udp.is_blocked) {
    if (!report.has_tls) return "unknown: no server answered";
    return fmt::format("unknown, STUN over TLS {}", *report.has_tls ? "works" : "fails");
  }
  if (!report.udp.round_trip) return "open";
  return fmt::format("open, {:.0f} ms to {}", milliseconds(*report.udp.round_trip),
                     report.server ? report.server->to_string() : "the server");
}

/// "; routers 192.168.1.1, ?, 100.64.0.1"; nothing if none tells which datagrams expire there.
std::string routers_text(const nat::HopFacts& hops) {
  std::string out;
  for (const auto& router : hops.routers)
    out += (out.empty() ? "; routers " : ", ") + (router ? router->to_string() : "?");
  return out;
}

std::string nat_line(const Report& report) {
  const auto hint = nat::cone_name(report.udp);
  std::string kind = "unknown";
  if (report.position) {
    using enum nat::Position;
    switch (*report.position) {
      case open: kind = "none"; break;
      case firewall: kind = "none, but a firewall"; break;
      case home_nat: kind = "one NAT"; break;
      case double_nat: kind = "two NATs, one behind the other"; break;
      case carrier_nat: kind = "carrier-grade NAT"; break;
    }
  } else if (report.udp.has_nat == false) {
    kind = "none";
  } else if (report.udp.has_nat == true) {
    kind = "a NAT; whether there is another one behind it cannot be told";
    if (report.gateway.has_outside == false)
      kind = "a NAT, and most likely another one behind it: the router has no address outside";
    if (report.hops.first_has_mapped == false)
      kind = "a NAT beyond the first router, which may translate as well";
  }
  return hint.empty() ? kind : fmt::format("{} (\"{}\")", kind, hint);
}

std::string ports_line(const nat::UdpBehaviour& udp) {
  if (udp.has_nat == false) return "not translated";
  if (!udp.allocation) return "unknown";
  if (!udp.allocation_step) return std::string(name(*udp.allocation));
  return fmt::format("{}, step {}", name(*udp.allocation), *udp.allocation_step);
}

std::string lifetime_line(const nat::UdpBehaviour& udp) {
  if (!udp.lifetime) return "not measured (--lifetime)";
  const auto alive = milliseconds(udp.lifetime->alive) / 1000;
  if (!udp.lifetime->gone) return fmt::format("more than {:.0f} s", alive);
  return fmt::format("{:.0f} to {:.0f} s", alive, milliseconds(*udp.lifetime->gone) / 1000);
}

std::string gateway_line(const nat::GatewayFacts& gateway) {
  std::string out;
  bool is_known = false;
  const auto add = [&](const std::optional<bool>& fact, std::string_view what) {
    is_known = is_known || fact.has_value();
    if (fact == true) out += fmt::format("{}{}", out.empty() ? "" : ", ", what);
  };
  add(gateway.has_pcp, "PCP");
  add(gateway.has_nat_pmp, "NAT-PMP");
  add(gateway.has_upnp, "UPnP");
  if (out.empty() && !is_known)
    return gateway.mapping_why.empty() ? "unknown: the router was not asked"
                                       : "unknown: " + gateway.mapping_why;
  if (out.empty()) out = "none";
  if (gateway.router) out += " at " + gateway.router->to_string();
  if (!gateway.name.empty()) out += " (" + gateway.name + ")";
  if (gateway.external_ip) out += ", outside " + gateway.external_ip->to_string();
  if (gateway.has_outside == false) out += ", no address outside";
  if (gateway.is_mapped)
    out +=
        fmt::format(", opens {}: {}", *gateway.is_mapped ? "ports" : "none", gateway.mapping_why);
  if (gateway.second_router) out += "; behind it " + gateway.second_router->to_string();
  return out;
}

std::string v6_line(const Report& report) {
  auto out = yes_no(report.has_ipv6);
  if (report.mapped_v6) out += ", " + report.mapped_v6->ip.to_string();
  if (report.filtering_v6) out += fmt::format(", {} filtering", name(*report.filtering_v6));
  if (report.has_nat64 == true) out += ", NAT64 " + report.nat64_prefix;
  return out;
}

}  // namespace

std::string probe_text(const Report& report) {
  const auto advice = nat::advise(report);
  const auto& udp = report.udp;
  const auto known = report.reachable == Reachability::unknown     ? "unknown"
                     : report.reachable == Reachability::reachable ? "yes"
                                                                   : "no";
  const auto why = report.reachable_why.empty() ? "no node is running" : report.reachable_why;
  std::string out;
  const auto line = [&](std::string_view what, const std::string& fact) {
    out += fmt::format("{:<14} {}\n", what, fact);
  };
  line("UDP", udp_line(report));
  line("seen at", udp.mapped ? udp.mapped->to_string() : "unknown");
  line("NAT", nat_line(report) + routers_text(report.hops));
  line("mapping",
       with_short(udp.mapping, 'M') +
           (report.tcp.mapping ? fmt::format(", TCP {}", short_name(*report.tcp.mapping, 'M'))
                               : ""));
  line("filtering", with_short(udp.filtering, 'F'));
  line("ports", ports_line(udp) + ", lifetime " + lifetime_line(udp));
  line("hairpin",
       fmt::format("{}, fragments {}", yes_no(udp.has_hairpin), yes_no(udp.passes_fragments)));
  line("port mapping", gateway_line(report.gateway));
  line("IPv6", v6_line(report) + ", captive portal " + yes_no(report.is_captive));
  line("reachable", fmt::format("{}: {}", known, why));
  out += fmt::format("\n{:<14} {} ({:.1f} s)\n", "verdict", advice.summary,
                     milliseconds(report.took) / 1000);
  if (!advice.fix.empty()) line("fix", advice.fix);
  return out;
}

std::string probe_brief(const Report& report) {
  const auto kind = nat::cone_name(report.udp);
  return fmt::format("{}\n{}\n{}\n", kind.empty() ? "unknown" : kind,
                     report.udp.mapped ? report.udp.mapped->to_string() : "unknown",
                     name(nat::advise(report).verdict));
}

}  // namespace pyrsia::app

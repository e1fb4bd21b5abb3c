#include "probe_report.hpp"

#include "base/printable.hpp"
#include "options.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace pyrsia::app {
namespace {

namespace json = boost::json;
using nat::Report;

constexpr std::string_view kSchema = "pyrsia.probe/1";

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

constexpr std::size_t kMaxServers = 16;
// Units of numbers in the document, in seconds.
constexpr double kMillisecond = 1e-3;
constexpr double kSecond = 1;

json::value value_of(const std::optional<bool>& fact) {
  return fact ? json::value(*fact) : json::value(nullptr);
}
json::value value_of(const std::optional<Endpoint>& fact) {
  return fact ? json::value(fact->to_string()) : json::value(nullptr);
}
json::value value_of(const std::optional<IpAddress>& fact) {
  return fact ? json::value(fact->to_string()) : json::value(nullptr);
}
template <class T>
json::value named(const std::optional<T>& fact) {
  return fact ? json::value(name(*fact)) : json::value(nullptr);
}

json::object udp_json(const nat::UdpBehaviour& udp) {
  json::object out;
  out["blocked"] = value_of(udp.is_blocked);
  out["mapped"] = value_of(udp.mapped);
  out["nat"] = value_of(udp.has_nat);
  out["mapping"] = named(udp.mapping);
  out["mapping_varies"] = value_of(udp.mapping_varies);
  out["filtering"] = named(udp.filtering);
  out["allocation"] = named(udp.allocation);
  out["allocation_step"] =
      udp.allocation_step ? json::value(*udp.allocation_step) : json::value(nullptr);
  out["hairpin"] = value_of(udp.has_hairpin);
  out["fragments"] = value_of(udp.passes_fragments);
  out["lifetime_alive_s"] = nullptr;
  out["lifetime_gone_s"] = nullptr;
  if (udp.lifetime) {
    out["lifetime_alive_s"] = milliseconds(udp.lifetime->alive) / 1000;
    if (udp.lifetime->gone) out["lifetime_gone_s"] = milliseconds(*udp.lifetime->gone) / 1000;
  }
  out["round_trip_ms"] =
      udp.round_trip ? json::value(milliseconds(*udp.round_trip)) : json::value(nullptr);
  return out;
}

json::object tcp_json(const nat::TcpBehaviour& tcp) {
  json::object out;
  out["blocked"] = value_of(tcp.is_blocked);
  out["mapped"] = value_of(tcp.mapped);
  out["mapping"] = named(tcp.mapping);
  out["mapping_varies"] = value_of(tcp.mapping_varies);
  return out;
}

json::object gateway_json(const nat::GatewayFacts& gateway) {
  json::object out;
  out["router"] = value_of(gateway.router);
  out["name"] = gateway.name;
  out["pcp"] = value_of(gateway.has_pcp);
  out["nat_pmp"] = value_of(gateway.has_nat_pmp);
  out["upnp"] = value_of(gateway.has_upnp);
  out["external_ip"] = value_of(gateway.external_ip);
  out["has_outside"] = value_of(gateway.has_outside);
  out["mapped"] = value_of(gateway.is_mapped);
  out["mapping_why"] = gateway.mapping_why;
  out["second_router"] = value_of(gateway.second_router);
  return out;
}

/// Facts out of an object that may be anything.
class Facts {
 public:
  explicit Facts(const json::value* value) : object_(value ? value->if_object() : nullptr) {}

  const json::value* at(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  std::optional<bool> flag(std::string_view key) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_bool()) return std::nullopt;
    return value->get_bool();
  }
  std::optional<std::string> text(std::string_view key) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return printable(std::string(value->get_string()));
  }
  std::optional<Endpoint> endpoint(std::string_view key) const {
    const auto value = text(key);
    return value ? parse_endpoint(*value, 0) : std::nullopt;
  }
  std::optional<IpAddress> ip(std::string_view key) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const auto parsed = IpAddress::parse(*value);
    if (!parsed) return std::nullopt;
    return *parsed;
  }
  /// A number of `unit`s; nothing if it is none, negative, or more than a day.
  std::optional<Duration> duration(std::string_view key, double unit) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const auto seconds = value->to_number<double>() * unit;
    if (!(seconds >= 0 && seconds <= 86400)) return std::nullopt;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  std::optional<nat::Dependence> dependence(std::string_view key) const {
    const auto value = text(key);
    return value ? nat::dependence_named(*value) : std::nullopt;
  }

 private:
  const json::object* object_;
};

std::optional<nat::Position> position_named(std::string_view wanted) {
  using enum nat::Position;
  for (const auto position : {open, firewall, home_nat, double_nat, carrier_nat})
    if (nat::name(position) == wanted) return position;
  return std::nullopt;
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
    kind = report.gateway.has_outside == false
               ? "a NAT, and most likely another one behind it: the router has no address outside"
               : "a NAT; whether there is another one behind it cannot be told";
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

nat::GatewayFacts read_gateway(const Facts& facts) {
  nat::GatewayFacts gateway;
  gateway.router = facts.ip("router");
  gateway.name = facts.text("name").value_or("");
  gateway.has_pcp = facts.flag("pcp");
  gateway.has_nat_pmp = facts.flag("nat_pmp");
  gateway.has_upnp = facts.flag("upnp");
  gateway.external_ip = facts.ip("external_ip");
  gateway.has_outside = facts.flag("has_outside");
  gateway.is_mapped = facts.flag("mapped");
  gateway.mapping_why = facts.text("mapping_why").value_or("");
  gateway.second_router = facts.ip("second_router");
  return gateway;
}

/// At most kMaxServers; what is no endpoint is left out.
std::vector<Endpoint> read_servers(const json::value* list) {
  std::vector<Endpoint> out;
  if (list == nullptr || !list->is_array()) return out;
  for (const auto& entry : list->get_array()) {
    if (out.size() >= kMaxServers) break;
    if (!entry.is_string()) continue;
    if (const auto endpoint = parse_endpoint(entry.get_string(), kStunPort))
      out.push_back(*endpoint);
  }
  return out;
}

}  // namespace

json::object probe_json(const Report& report) {
  json::object out;
  out["schema"] = kSchema;
  const auto advice = nat::advise(report);
  out["verdict"] = name(advice.verdict);
  out["summary"] = advice.summary;
  out["fix"] = advice.fix;
  out["udp"] = udp_json(report.udp);
  out["tcp"] = tcp_json(report.tcp);
  json::object tls;
  tls["works"] = value_of(report.has_tls);
  tls["mapped"] = value_of(report.mapped_tls);
  out["tls"] = std::move(tls);
  json::object v6;
  v6["works"] = value_of(report.has_ipv6);
  v6["mapped"] = value_of(report.mapped_v6);
  v6["nat"] = value_of(report.has_nat_v6);
  v6["filtering"] = named(report.filtering_v6);
  v6["nat64"] = value_of(report.has_nat64);
  v6["nat64_prefix"] = report.nat64_prefix;
  out["ipv6"] = std::move(v6);
  out["captive_portal"] = value_of(report.is_captive);
  out["gateway"] = gateway_json(report.gateway);
  out["interface_ip"] = value_of(report.interface_ip);
  out["position"] = named(report.position);
  out["reachable"] = report.reachable == Reachability::unknown
                         ? json::value(nullptr)
                         : json::value(report.reachable == Reachability::reachable);
  out["reachable_why"] = report.reachable_why;
  json::array servers;
  for (const auto& server : report.servers) servers.emplace_back(server.to_string());
  out["servers"] = std::move(servers);
  out["server"] = value_of(report.server);
  out["took_ms"] = milliseconds(report.took);
  return out;
}

Result<Report> probe_report(const json::value& document) {
  const Facts facts(&document);
  if (facts.text("schema") != kSchema) return Errc::malformed;
  Report report;
  const Facts udp(facts.at("udp"));
  report.udp.is_blocked = udp.flag("blocked");
  report.udp.mapped = udp.endpoint("mapped");
  report.udp.has_nat = udp.flag("nat");
  report.udp.mapping = udp.dependence("mapping");
  report.udp.mapping_varies = udp.flag("mapping_varies");
  report.udp.filtering = udp.dependence("filtering");
  report.udp.has_hairpin = udp.flag("hairpin");
  report.udp.passes_fragments = udp.flag("fragments");
  if (const auto allocation = udp.text("allocation"))
    report.udp.allocation = nat::allocation_named(*allocation);
  const auto* step = udp.at("allocation_step");
  if (step != nullptr && step->is_int64())
    report.udp.allocation_step = static_cast<int>(step->get_int64());
  report.udp.round_trip = udp.duration("round_trip_ms", kMillisecond);
  if (const auto alive = udp.duration("lifetime_alive_s", kSecond))
    report.udp.lifetime = nat::LifetimeRange{*alive, udp.duration("lifetime_gone_s", kSecond)};
  const Facts tcp(facts.at("tcp"));
  report.tcp.is_blocked = tcp.flag("blocked");
  report.tcp.mapped = tcp.endpoint("mapped");
  report.tcp.mapping = tcp.dependence("mapping");
  report.tcp.mapping_varies = tcp.flag("mapping_varies");
  const Facts tls(facts.at("tls"));
  report.has_tls = tls.flag("works");
  report.mapped_tls = tls.endpoint("mapped");
  const Facts v6(facts.at("ipv6"));
  report.has_ipv6 = v6.flag("works");
  report.mapped_v6 = v6.endpoint("mapped");
  report.has_nat_v6 = v6.flag("nat");
  report.filtering_v6 = v6.dependence("filtering");
  report.has_nat64 = v6.flag("nat64");
  report.nat64_prefix = v6.text("nat64_prefix").value_or("");
  report.is_captive = facts.flag("captive_portal");
  report.servers = read_servers(facts.at("servers"));
  report.gateway = read_gateway(Facts(facts.at("gateway")));
  report.interface_ip = facts.ip("interface_ip");
  if (const auto position = facts.text("position")) report.position = position_named(*position);
  if (const auto reachable = facts.flag("reachable"))
    report.reachable = *reachable ? Reachability::reachable : Reachability::unreachable;
  report.reachable_why = facts.text("reachable_why").value_or("");
  report.server = facts.endpoint("server");
  report.took = facts.duration("took_ms", kMillisecond).value_or(Duration(0));
  return report;
}

std::string probe_text(const Report& report) {
  const auto advice = nat::advise(report);
  const auto& udp = report.udp;
  std::string reachable = "unknown: no node is running";
  if (report.reachable != Reachability::unknown)
    reachable = fmt::format("{}: {}", report.reachable == Reachability::reachable ? "yes" : "no",
                            report.reachable_why);
  std::string out;
  const auto line = [&](std::string_view what, const std::string& fact) {
    out += fmt::format("{:<14} {}\n", what, fact);
  };
  line("UDP", udp_line(report));
  line("seen at", udp.mapped ? udp.mapped->to_string() : "unknown");
  line("NAT", nat_line(report));
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
  line("reachable", reachable);
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

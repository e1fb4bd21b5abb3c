#include "nat/behaviour/report_document.hpp"

#include "base/endpoint_text.hpp"
#include "base/printable.hpp"
#include "nat/behaviour/hop_trace.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace pyrsia::nat {
namespace {

namespace json = boost::json;

constexpr std::string_view kSchema = "pyrsia.probe/1";
// How many of a number's unit are a second.
constexpr double kMilliseconds = 1000;
constexpr double kSeconds = 1;
constexpr double kMaxSeconds = 86400;  ///< No fact takes longer than a day.
constexpr int kMaxStep = 65535;        ///< Ports have 16 bits.

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

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

json::object udp_json(const UdpBehaviour& udp) {
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
    out["lifetime_alive_s"] = seconds(udp.lifetime->alive);
    if (udp.lifetime->gone) out["lifetime_gone_s"] = seconds(*udp.lifetime->gone);
  }
  out["round_trip_ms"] =
      udp.round_trip ? json::value(milliseconds(*udp.round_trip)) : json::value(nullptr);
  return out;
}

json::object tcp_json(const TcpBehaviour& tcp) {
  json::object out;
  out["blocked"] = value_of(tcp.is_blocked);
  out["mapped"] = value_of(tcp.mapped);
  out["mapping"] = named(tcp.mapping);
  out["mapping_varies"] = value_of(tcp.mapping_varies);
  return out;
}

json::object v6_json(const Report& report) {
  json::object out;
  out["works"] = value_of(report.has_ipv6);
  out["mapped"] = value_of(report.mapped_v6);
  out["nat"] = value_of(report.has_nat_v6);
  out["filtering"] = named(report.filtering_v6);
  out["nat64"] = value_of(report.has_nat64);
  out["nat64_prefix"] = report.nat64_prefix;
  return out;
}

json::object gateway_json(const GatewayFacts& gateway) {
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

json::object hops_json(const HopFacts& hops) {
  json::object out;
  json::array routers;
  for (const auto& router : hops.routers) routers.push_back(value_of(router));
  out["routers"] = std::move(routers);
  out["passed_count"] = hops.passed_count;
  out["first_has_mapped"] = value_of(hops.first_has_mapped);
  return out;
}

/// The ways in, by their names in the document.
constexpr std::array<std::pair<std::string_view, bool WaysIn::*>, 4> kWays{
    {{"udp4", &WaysIn::udp_v4},
     {"tcp4", &WaysIn::tcp_v4},
     {"udp6", &WaysIn::udp_v6},
     {"tcp6", &WaysIn::tcp_v6}}};

json::value ways_json(const std::optional<WaysIn>& ways) {
  if (!ways) return nullptr;
  json::array out;
  for (const auto& [text, way] : kWays)
    if ((*ways).*way) out.emplace_back(text);
  return out;
}

/// Facts out of an object that may be anything.
class Facts {
 public:
  explicit Facts(const json::value* value) : object_(value ? value->if_object() : nullptr) {}

  const json::value* at(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  const json::array* list(std::string_view key) const {
    const auto* value = at(key);
    return value == nullptr ? nullptr : value->if_array();
  }
  std::optional<bool> flag(std::string_view key) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_bool()) return std::nullopt;
    return value->get_bool();
  }
  std::optional<std::string> text(std::string_view key) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    const std::string_view whole = value->get_string();
    return printable(std::string(whole.substr(0, kMaxDocumentText)));
  }
  std::optional<Endpoint> endpoint(std::string_view key) const {
    const auto value = text(key);
    return value ? parse_endpoint(*value, 0) : std::nullopt;
  }
  std::optional<IpAddress> ip(std::string_view key) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const auto parsed = IpAddress::parse(*value);
    return parsed ? std::optional(*parsed) : std::nullopt;
  }
  /// A number of which `per_second` are a second.
  std::optional<Duration> duration(std::string_view key, double per_second) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const auto given = value->to_number<double>() / per_second;
    if (!(given >= 0 && given <= kMaxSeconds)) return std::nullopt;
    return std::chrono::round<Duration>(std::chrono::duration<double>(given));
  }
  std::optional<int> step(std::string_view key) const {
    const auto* value = at(key);
    if (value == nullptr || !value->is_int64()) return std::nullopt;
    const auto given = value->get_int64();
    if (given < -kMaxStep || given > kMaxStep) return std::nullopt;
    return static_cast<int>(given);
  }
  /// By one of the functions that know the names: nothing for another text.
  template <class T>
  std::optional<T> named(std::string_view key,
                         std::optional<T> (*by_name)(std::string_view)) const {
    const auto value = text(key);
    return value ? by_name(*value) : std::nullopt;
  }

 private:
  const json::object* object_;
};

UdpBehaviour read_udp(const Facts& facts) {
  UdpBehaviour udp;
  udp.is_blocked = facts.flag("blocked");
  udp.mapped = facts.endpoint("mapped");
  udp.has_nat = facts.flag("nat");
  udp.mapping = facts.named("mapping", dependence_named);
  udp.mapping_varies = facts.flag("mapping_varies");
  udp.filtering = facts.named("filtering", dependence_named);
  udp.allocation = facts.named("allocation", allocation_named);
  udp.allocation_step = facts.step("allocation_step");
  udp.has_hairpin = facts.flag("hairpin");
  udp.passes_fragments = facts.flag("fragments");
  udp.round_trip = facts.duration("round_trip_ms", kMilliseconds);
  if (const auto alive = facts.duration("lifetime_alive_s", kSeconds))
    udp.lifetime = LifetimeRange{*alive, facts.duration("lifetime_gone_s", kSeconds)};
  return udp;
}

TcpBehaviour read_tcp(const Facts& facts) {
  TcpBehaviour tcp;
  tcp.is_blocked = facts.flag("blocked");
  tcp.mapped = facts.endpoint("mapped");
  tcp.mapping = facts.named("mapping", dependence_named);
  tcp.mapping_varies = facts.flag("mapping_varies");
  return tcp;
}

GatewayFacts read_gateway(const Facts& facts) {
  GatewayFacts gateway;
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

HopFacts read_hops(const Facts& facts) {
  HopFacts hops;
  hops.first_has_mapped = facts.flag("first_has_mapped");
  const auto* count = facts.at("passed_count");
  const auto passed = count != nullptr && count->is_int64() ? count->get_int64() : 0;
  hops.passed_count =
      static_cast<std::size_t>(std::clamp<std::int64_t>(passed, 0, HopTrace::kMaxHops));
  const auto* routers = facts.list("routers");
  if (routers == nullptr) return hops;
  for (const auto& entry : *routers) {
    if (hops.routers.size() >= HopTrace::kMaxHops) break;
    std::optional<IpAddress> router;
    if (entry.is_string())
      if (const auto ip = IpAddress::parse(std::string_view(entry.get_string()))) router = *ip;
    hops.routers.push_back(router);
  }
  return hops;
}

/// What is no endpoint is left out.
std::vector<Endpoint> read_servers(const json::array* list) {
  std::vector<Endpoint> out;
  if (list == nullptr) return out;
  for (const auto& entry : *list) {
    if (out.size() >= kMaxDocumentServers) break;
    if (!entry.is_string()) continue;
    if (const auto endpoint = parse_endpoint(entry.get_string(), 0)) out.push_back(*endpoint);
  }
  return out;
}

/// What is no text is left out.
std::vector<std::string> read_names(const json::array* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  for (const auto& entry : *list) {
    if (out.size() >= kMaxDocumentServers) break;
    if (!entry.is_string()) continue;
    const std::string_view whole = entry.get_string();
    out.push_back(printable(std::string(whole.substr(0, kMaxDocumentText))));
  }
  return out;
}

/// Ways that we do not know are left out.
std::optional<WaysIn> read_ways(const json::array* list) {
  if (list == nullptr) return std::nullopt;
  WaysIn ways;
  for (const auto& entry : *list)
    for (const auto& [text, way] : kWays)
      if (entry.is_string() && entry.get_string() == text) ways.*way = true;
  return ways;
}

}  // namespace

std::string write_report(const Report& report) {
  json::object out;
  out["schema"] = kSchema;
  const auto advice = advise(report);
  out["verdict"] = name(advice.verdict);
  out["summary"] = advice.summary;
  out["fix"] = advice.fix;
  out["udp"] = udp_json(report.udp);
  out["tcp"] = tcp_json(report.tcp);
  json::object tls;
  tls["works"] = value_of(report.has_tls);
  tls["mapped"] = value_of(report.mapped_tls);
  out["tls"] = std::move(tls);
  out["ipv6"] = v6_json(report);
  out["captive_portal"] = value_of(report.is_captive);
  out["gateway"] = gateway_json(report.gateway);
  out["hops"] = hops_json(report.hops);
  out["interface_ip"] = value_of(report.interface_ip);
  out["position"] = named(report.position);
  const auto layers = nat_layers(report);
  out["nat_layers"] = layers.count ? json::value(*layers.count) : json::value(nullptr);
  out["nat_layers_why"] = layers.why;
  out["reachable"] = report.reachable == Reachability::unknown
                         ? json::value(nullptr)
                         : json::value(report.reachable == Reachability::reachable);
  out["reachable_why"] = report.reachable_why;
  out["reachable_over"] = ways_json(report.ways_in);
  json::array servers;
  for (const auto& server : report.servers) servers.emplace_back(server.to_string());
  out["servers"] = std::move(servers);
  out["server"] = value_of(report.server);
  json::array unresolved;
  for (const auto& name : report.unresolved) unresolved.emplace_back(name);
  out["unresolved"] = std::move(unresolved);
  out["took_ms"] = milliseconds(report.took);
  return json::serialize(out);
}

Result<Report> read_report(std::string_view text) {
  if (text.size() > kMaxDocumentBytes) return Errc::too_large;
  json::error_code error;
  const auto document = json::parse(text, error);
  if (error) return Errc::malformed;
  const Facts facts(&document);
  if (facts.text("schema") != kSchema) return Errc::malformed;
  Report report;
  report.udp = read_udp(Facts(facts.at("udp")));
  report.tcp = read_tcp(Facts(facts.at("tcp")));
  const Facts tls(facts.at("tls"));
  report.has_tls = tls.flag("works");
  report.mapped_tls = tls.endpoint("mapped");
  const Facts v6(facts.at("ipv6"));
  report.has_ipv6 = v6.flag("works");
  report.mapped_v6 = v6.endpoint("mapped");
  report.has_nat_v6 = v6.flag("nat");
  report.filtering_v6 = v6.named("filtering", dependence_named);
  report.has_nat64 = v6.flag("nat64");
  report.nat64_prefix = v6.text("nat64_prefix").value_or("");
  report.is_captive = facts.flag("captive_portal");
  report.servers = read_servers(facts.list("servers"));
  report.unresolved = read_names(facts.list("unresolved"));
  report.gateway = read_gateway(Facts(facts.at("gateway")));
  report.hops = read_hops(Facts(facts.at("hops")));
  report.interface_ip = facts.ip("interface_ip");
  report.position = facts.named("position", position_named);
  if (const auto reachable = facts.flag("reachable"))
    report.reachable = *reachable ? Reachability::reachable : Reachability::unreachable;
  report.reachable_why = facts.text("reachable_why").value_or("");
  report.ways_in = read_ways(facts.list("reachable_over"));
  report.server = facts.endpoint("server");
  report.took = facts.duration("took_ms", kMilliseconds).value_or(Duration(0));
  return report;
}

}  // namespace pyrsia::nat

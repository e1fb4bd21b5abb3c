#include "report.hpp"

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <variant>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

double seconds(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  return static_cast<double>(ms.count()) / 1000;
}

json::array texts(const std::vector<Multiaddr>& addresses) {
  json::array list;
  for (const auto& address : addresses) list.emplace_back(address.to_string());
  return list;
}

json::array evidence_json(const std::vector<NatEvidence>& evidence) {
  json::array list;
  for (const auto& one : evidence) {
    json::object entry;
    entry["what"] = one.what;
    entry["who"] = one.who;
    entry["age_s"] = seconds(one.age);
    entry["says"] = pyrsia::name(one.says);
    list.push_back(std::move(entry));
  }
  return list;
}

template <class Stage>
std::string_view stage_name(Stage stage) {
  switch (stage) {
    case Stage::request: return "request";
    case Stage::response: return "response";
    case Stage::error: return "error";
  }
  return "";
}

std::string_view stage_name(BootstrapProgress::Stage stage) {
  using Stage = BootstrapProgress::Stage;
  switch (stage) {
    case Stage::fetching: return "fetching";
    case Stage::found: return "found";
    case Stage::connecting: return "connecting";
    case Stage::connected: return "connected";
    case Stage::failed: return "failed";
    case Stage::waiting: return "waiting";
  }
  return "";
}

/// Adds the facts of each kind of event to `out`.
struct AddFacts {
  json::object& out;

  void operator()(const InboundProbe& event) const {
    out["stage"] = stage_name(event.stage);
    out["peer"] = event.peer.to_string();
    out["addresses"] = texts(event.addresses);
    if (!event.reason.empty()) out["reason"] = event.reason;
  }
  void operator()(const OutboundProbe& event) const {
    out["stage"] = stage_name(event.stage);
    if (event.server) out["server"] = event.server->to_string();
    if (event.address) out["address"] = event.address->to_string();
    if (!event.reason.empty()) out["reason"] = event.reason;
  }
  void operator()(const StatusChanged& event) const {
    out["old_status"] = pyrsia::name(event.old_status);
    out["new_status"] = pyrsia::name(event.new_status);
    out["nat_status"] = nat_status_name(event.new_status);
    if (event.address) out["address"] = event.address->to_string();
    out["reason"] = event.reason;
    out["evidence"] = evidence_json(event.evidence);
  }
  void operator()(const Listening& event) const { out["address"] = event.address.to_string(); }
  void operator()(const PeerConnected& event) const {
    out["peer"] = event.peer.to_string();
    out["address"] = event.address.to_string();
  }
  void operator()(const PeerDisconnected& event) const {
    out["peer"] = event.peer.to_string();
    out["reason"] = event.reason.message();
  }
  void operator()(const BootstrapProgress& event) const {
    out["stage"] = stage_name(event.stage);
    out["text"] = event.text;
  }
  void operator()(const Connected& event) const { out["peer"] = event.peer.to_string(); }
  void operator()(const AddressVerdictChanged& event) const {
    out["address"] = event.address.to_string();
    out["old_status"] = pyrsia::name(event.old_status);
    out["new_status"] = pyrsia::name(event.new_status);
    out["confirmed"] = event.is_confirmed;
    out["reason"] = event.reason;
    out["evidence"] = evidence_json(event.evidence);
  }
  void operator()(const PortMappingChanged& event) const {
    out["stage"] = pyrsia::name(event.stage);
    out["transport"] = event.transport;
    out["internal"] = event.internal.to_string();
    out["external"] = event.external.to_string();
    out["protocol"] = event.protocol;
    out["reason"] = event.reason;
  }
};

struct EventText {
  std::string operator()(const InboundProbe& event) const {
    if (event.stage != InboundProbe::Stage::request) return "";
    return fmt::format("{} asked to be dialed back", event.peer.to_string());
  }
  std::string operator()(const OutboundProbe& event) const {
    if (event.stage == OutboundProbe::Stage::request && event.server) {
      return fmt::format("asking {} whether it can reach us", event.server->to_string());
    }
    if (event.stage != OutboundProbe::Stage::error) return "";
    return fmt::format("no answer about our reachability yet: {}", event.reason);
  }
  std::string operator()(const StatusChanged& event) const {
    return fmt::format("NAT status changed from {} to {}: {}", nat_status_name(event.old_status),
                       nat_status_name(event.new_status), event.reason);
  }
  std::string operator()(const Listening& event) const {
    return fmt::format("listening on {}", event.address.to_string());
  }
  std::string operator()(const PeerConnected&) const { return ""; }
  std::string operator()(const PeerDisconnected&) const { return ""; }
  std::string operator()(const BootstrapProgress& event) const { return event.text; }
  std::string operator()(const Connected& event) const {
    return fmt::format("fully connected: boot node {} sent its probe request",
                       event.peer.to_string());
  }
  std::string operator()(const AddressVerdictChanged&) const { return ""; }
  std::string operator()(const PortMappingChanged&) const { return ""; }
};

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return "";
  return std::string(value->get_string());
}

std::int64_t number_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return 0;
  if (value->is_double()) return static_cast<std::int64_t>(value->get_double());
  return value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

std::string age_text(Duration age) {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min", s / 60);
  return fmt::format("{} h", s / 3600);
}

std::string time_text(WallTime time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time_t(seconds.count())));
}

json::object nat_json(const NatReport& report, const std::optional<PeerId>& self) {
  json::object out;
  out["schema"] = "pyrsia.nat/1";
  if (self) out["peer_id"] = self->to_string();
  out["status"] = pyrsia::name(report.status);
  out["nat_status"] = nat_status_name(report.status);
  out["confidence"] = report.confidence;
  out["age_s"] = seconds(report.age);
  out["reason"] = report.reason;
  out["connected"] = report.is_connected;
  out["confirmed"] = report.is_confirmed;
  out["evidence"] = evidence_json(report.evidence);
  json::array addresses;
  for (const auto& verdict : report.addresses) {
    json::object entry;
    entry["address"] = verdict.address.to_string();
    entry["status"] = pyrsia::name(verdict.status);
    entry["confidence"] = verdict.confidence;
    entry["age_s"] = seconds(verdict.age);
    entry["reason"] = verdict.reason;
    entry["source"] = verdict.source;
    entry["observers"] = verdict.observers;
    entry["confirmed"] = verdict.is_confirmed;
    entry["known_ip_only"] = verdict.is_known_ip_only;
    entry["evidence"] = evidence_json(verdict.evidence);
    addresses.push_back(std::move(entry));
  }
  out["addresses"] = std::move(addresses);
  return out;
}

json::object port_mapping_json(const PortMappingReport& report) {
  json::object out;
  out["is_on"] = report.is_on;
  out["reason"] = report.reason;
  json::array mappings;
  for (const auto& each : report.mappings) {
    json::object entry;
    entry["transport"] = each.transport;
    entry["internal"] = each.internal;
    if (!each.external.empty()) entry["external"] = each.external;
    entry["state"] = each.state;
    if (!each.protocol.empty()) entry["protocol"] = each.protocol;
    json::array routers;
    for (const auto& router : each.routers) routers.emplace_back(router);
    entry["routers"] = std::move(routers);
    entry["lifetime_left_s"] = seconds(each.lifetime_left);
    entry["reason"] = each.reason;
    mappings.push_back(std::move(entry));
  }
  out["mappings"] = std::move(mappings);
  json::array attempts;
  for (const auto& each : report.attempts) {
    json::object entry;
    entry["router"] = each.router;
    entry["protocol"] = each.protocol;
    entry["state"] = each.state;
    entry["reason"] = each.reason;
    entry["took_s"] = seconds(each.took);
    attempts.push_back(std::move(entry));
  }
  out["attempts"] = std::move(attempts);
  return out;
}

json::object event_json(const HostEvent& event, WallTime now) {
  json::object out;
  out["schema"] = "pyrsia.event/1";
  out["time"] = time_text(now);
  out["event"] = event_name(event);
  std::visit(AddFacts{out}, event);
  return out;
}

std::string event_name(const HostEvent& event) {
  constexpr std::array kNames{"inbound_probe", "outbound_probe", "status_changed",
                              "listening",     "peer_connected", "peer_disconnected",
                              "bootstrap",     "connected",      "address_verdict_changed",
                              "port_mapping"};
  static_assert(kNames.size() == std::variant_size_v<HostEvent>);
  return kNames[event.index()];
}

std::string event_text(const HostEvent& event) {
  return std::visit(EventText(), event);
}

std::string verdict_text(const NatReport& report) {
  switch (report.status) {
    case Reachability::reachable:
      for (const auto& verdict : report.addresses) {
        if (verdict.status != Reachability::reachable) continue;
        return fmt::format("Public: others can connect to this node at {}",
                           verdict.address.to_string());
      }
      return "Public: others can connect to this node";
    case Reachability::unreachable:
      return fmt::format("Private: others cannot connect to this node ({})", report.reason);
    case Reachability::unknown: break;
  }
  return fmt::format("Unknown: nobody has tried to connect to this node yet{}{}",
                     report.reason.empty() ? "" : ": ", report.reason);
}

std::string status_text(const json::object& nat, std::size_t peer_count) {
  const auto* connected = nat.if_contains("connected");
  const bool is_connected = connected != nullptr && connected->is_bool() && connected->get_bool();
  auto out = fmt::format("peer id     {}\nNAT status  {} ({}), confidence {} of 3, {} old\n",
                         text_of(nat, "peer_id"), text_of(nat, "nat_status"),
                         text_of(nat, "status"), number_of(nat, "confidence"),
                         age_text(std::chrono::seconds(number_of(nat, "age_s"))));
  if (const auto why = text_of(nat, "reason"); !why.empty()) out += "why         " + why + "\n";
  out += fmt::format("connected   {}, {} peer{}\n", is_connected ? "fully" : "not fully",
                     peer_count, peer_count == 1 ? "" : "s");
  const auto* addresses = nat.if_contains("addresses");
  if (addresses == nullptr || !addresses->is_array()) return out;
  for (const auto& value : addresses->get_array()) {
    const auto* entry = value.if_object();
    if (entry == nullptr) continue;
    out += fmt::format("  {:<11} {} ({}, seen by {}): {}\n", text_of(*entry, "status"),
                       text_of(*entry, "address"), text_of(*entry, "source"),
                       number_of(*entry, "observers"), text_of(*entry, "reason"));
  }
  return out;
}

}  // namespace pyrsia::app

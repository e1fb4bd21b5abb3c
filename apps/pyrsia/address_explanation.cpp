#include "address_explanation.hpp"

#include "host/thin_waist.hpp"
#include "report.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace pyrsia::app {
namespace {

namespace json = boost::json;

std::string_view who_can_reach(AddressClass address_class, bool is_relayed) {
  if (is_relayed) return "whoever can reach the relay in front of it";
  switch (address_class) {
    case AddressClass::unusable: return "nobody: it is set aside for something else";
    case AddressClass::loopback: return "programs on the same machine only";
    case AddressClass::link_local: return "machines on the same link (cable, wireless) only";
    case AddressClass::private_use: return "machines in the same private network only";
    case AddressClass::global: return "everybody, if no NAT or firewall is in the way";
  }
  return "";
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return "";
  return std::string(value->get_string());
}

bool flag_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// The entry of /nat for this address: the very one, or one over the same port.
const json::object* candidate_in(const json::object& nat, const Multiaddr& address) {
  const auto* list = nat.if_contains("addresses");
  if (list == nullptr || !list->is_array()) return nullptr;
  const json::object* same_port = nullptr;
  for (const auto& value : list->get_array()) {
    const auto* entry = value.if_object();
    if (entry == nullptr) continue;
    const auto parsed = Multiaddr::parse(text_of(*entry, "address"));
    if (!parsed) continue;
    if (*parsed == address.without_peer()) return entry;
    if (host::thin_waist(*parsed) == host::thin_waist(address)) same_port = entry;
  }
  return same_port;
}

/// `is_own`: it is the address of an interface, so that nothing translates it.
std::string forward_advice(const Multiaddr& address, bool is_own) {
  const auto port = address.port();
  if (is_own)
    return fmt::format("Let {} port {} in, in the firewall of this machine, and of the router.",
                       host::is_over_udp(address) ? "UDP" : "TCP",
                       port ? fmt::format("{}", *port) : "?");
  return fmt::format(
      "Forward {} port {} to this machine in the router, or turn on UPnP, NAT-PMP or PCP there; "
      "IPv6, where there is some, mostly needs a rule in its firewall only.",
      host::is_over_udp(address) ? "UDP" : "TCP", port ? fmt::format("{}", *port) : "?");
}

std::string advice_for(const Multiaddr& address, AddressClass address_class,
                       const json::object* candidate) {
  if (address.is_relayed()) return "A relayed address works wherever the relay is reached.";
  if (address_class == AddressClass::unusable) return "Use another address.";
  if (address_class != AddressClass::global && !candidate)
    return "Others need an address of the router, with a port forwarded to this machine, or a "
           "relay.";
  if (!candidate) return "";
  const auto status = text_of(*candidate, "status");
  if (status == "reachable")
    return flag_of(*candidate, "confirmed")
               ? "Nothing is to be done."
               : "Nothing is to be done; it is confirmed once three networks agree.";
  if (status == "unreachable")
    return forward_advice(address, text_of(*candidate, "source") == "listen");
  if (flag_of(*candidate, "known_ip_only"))
    return "Use boot servers in more networks: one that this node has not contacted settles it.";
  return "Wait a little: nobody has had a word on it yet. It takes a boot server that probes.";
}

json::object candidate_json(const json::object& entry) {
  json::object out;
  for (const auto* key : {"address", "status", "confidence", "confirmed", "known_ip_only", "age_s",
                          "reason", "source", "observers", "evidence"}) {
    if (const auto* value = entry.if_contains(key)) out[key] = *value;
  }
  return out;
}

}  // namespace

json::object address_json(const Multiaddr& address, const AddressClassifier& classifier,
                          const json::object* nat) {
  json::object out;
  out["schema"] = "pyrsia.address/1";
  out["address"] = address.to_string();
  const auto address_class = classifier.classify(address);
  out["class"] = pyrsia::name(address_class);
  if (const auto ip = address.ip()) {
    if (const auto range = special_range(*ip)) {
      json::object entry;
      entry["network"] = range->network;
      entry["name"] = range->name;
      entry["source"] = range->source;
      out["range"] = std::move(entry);
    }
  }
  out["reached_by"] = who_can_reach(address_class, address.is_relayed());
  out["scope"] = pyrsia::name(classifier.scope());
  const bool is_usable = classifier.is_usable_by_others(address);
  const auto* candidate = nat != nullptr ? candidate_in(*nat, address) : nullptr;
  out["dialed"] = is_usable || address.is_relayed();
  out["advertised"] =
      is_usable && (candidate == nullptr || text_of(*candidate, "status") != "unreachable");
  out["node"] = nat != nullptr;
  out["candidate"] = candidate != nullptr;
  if (candidate != nullptr) out["verdict"] = candidate_json(*candidate);
  out["advice"] = advice_for(address, address_class, candidate);
  return out;
}

std::string address_text(const json::object& explanation) {
  auto out = text_of(explanation, "address") + "\n";
  auto kind = text_of(explanation, "class");
  if (const auto* range = explanation.if_contains("range")) {
    const auto& entry = range->as_object();
    kind += fmt::format(": {}, {} ({})", text_of(entry, "name"), text_of(entry, "network"),
                        text_of(entry, "source"));
  }
  out += "kind        " + kind + "\n";
  out += "reached by  " + text_of(explanation, "reached_by") + "\n";
  const auto scope = text_of(explanation, "scope");
  out += fmt::format("told others {} (scope: {})\n",
                     flag_of(explanation, "advertised") ? "yes, if it is ours" : "no", scope);
  out += fmt::format("dialed      {}\n",
                     flag_of(explanation, "dialed") ? "yes, if a peer has it" : "no");
  if (!flag_of(explanation, "node")) {
    out += "node        none answers on this machine\n";
  } else if (const auto* verdict = explanation.if_contains("verdict")) {
    const auto& entry = verdict->as_object();
    out += fmt::format("verdict     {}{} ({})\n", text_of(entry, "status"),
                       flag_of(entry, "confirmed") ? ", confirmed" : "", text_of(entry, "source"));
    out += "why         " + text_of(entry, "reason") + "\n";
    if (const auto* evidence = entry.if_contains("evidence"); evidence && evidence->is_array()) {
      for (const auto& value : evidence->get_array()) {
        const auto* one = value.if_object();
        if (one == nullptr) continue;
        const auto* age = one->if_contains("age_s");
        const auto ms = age != nullptr && age->is_double() ? age->get_double() * 1000 : 0;
        const auto ago = age_text(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
        out += fmt::format("            {} ago, {}: {}\n", ago, text_of(*one, "who"),
                           text_of(*one, "what"));
      }
    }
  } else {
    out += "node        does not count it among its addresses\n";
  }
  if (const auto advice = text_of(explanation, "advice"); !advice.empty())
    out += "what to do  " + advice + "\n";
  return out;
}

}  // namespace pyrsia::app

#include "host/mapped_ports.hpp"

#include "base/hex.hpp"
#include "host/thin_waist.hpp"

#include <algorithm>

namespace pyrsia::host {
namespace {

portmap::MapperConfig mapper_config(const PortMappingConfig& config) {
  portmap::MapperConfig out;
  out.lifetime = config.lifetime;
  out.router.budget = config.budget;
  if (config.protocols.empty()) return out;
  out.router.methods.clear();
  for (const auto& text : config.protocols)
    if (const auto method = portmap::parse_method(text)) out.router.methods.push_back(*method);
  return out;
}

std::optional<portmap::Listener> listener_at(const Multiaddr& address) {
  const auto endpoint = address.endpoint();
  if (!endpoint || endpoint->port == 0) return std::nullopt;
  const auto transport = is_over_udp(address) ? portmap::Transport::udp : portmap::Transport::tcp;
  return portmap::Listener{transport, *endpoint};
}

std::string_view state_name(portmap::Attempt::State state) {
  switch (state) {
    case portmap::Attempt::State::asking: return "asking";
    case portmap::Attempt::State::found: return "found";
    case portmap::Attempt::State::failed: return "failed";
  }
  return "";
}

PortMappingChanged::Stage stage_of(portmap::MappingEvent::Kind kind) {
  using Kind = portmap::MappingEvent::Kind;
  using Stage = PortMappingChanged::Stage;
  switch (kind) {
    case Kind::gained: return Stage::made;
    case Kind::changed: return Stage::changed;
    case Kind::lost: return Stage::lost;
    case Kind::confirmed: return Stage::confirmed;
    case Kind::broken: return Stage::broken;
  }
  return Stage::made;
}

}  // namespace

MappedPorts::MappedPorts(Env& env, const Config& config, const AddressClassifier& classifier,
                         NetworkMemory& memory, Callbacks callbacks, Logger log)
    : env_(env),
      is_on_(config.port_mapping.mode == PortMappingMode::automatic &&
             config.scope != AddressScope::loopback),
      memory_(memory),
      callbacks_(std::move(callbacks)),
      log_(log) {
  if (!is_on_) return;
  portmap::Memory remembering;
  remembering.recall = [this](const portmap::NetworkId& network) { return recall(network); };
  remembering.remember = [this](const portmap::NetworkId& network,
                                const portmap::Recalled& recalled) { remember(network, recalled); };
  portmap::Observer& observer = *this;
  mapper_.emplace(env, mapper_config(config.port_mapping), classifier, observer,
                  std::move(remembering), metrics_, log);
}

MappedPorts::~MappedPorts() = default;

void MappedPorts::start() {
  if (mapper_) mapper_->start();
}

Task<> MappedPorts::stop() {
  if (mapper_) PYRSIA_CO_TRY(co_await mapper_->stop());
  co_return ok;
}

void MappedPorts::set_listeners(const std::vector<Multiaddr>& addresses) {
  if (!mapper_) return;
  std::vector<portmap::Listener> listeners;
  std::set<IpAddress> ips;
  for (const auto& address : addresses) {
    if (const auto listener = listener_at(address)) listeners.push_back(*listener);
    if (const auto ip = address.ip()) ips.insert(*ip);
  }
  mapper_->set_listeners(std::move(listeners));
  if (std::exchange(listen_ips_, ips) != ips) mapper_->network_changed();
}

void MappedPorts::network_changed() {
  if (mapper_) mapper_->network_changed();
}

void MappedPorts::judge(const std::vector<AddressVerdict>& verdicts,
                        std::vector<IpAddress> observed) {
  if (!mapper_) return;
  mapper_->set_observed(std::move(observed));
  for (const auto& [listener, external] : mapper_->externals()) {
    const bool is_udp = listener.transport == portmap::Transport::udp;
    for (const auto& verdict : verdicts) {
      const bool is_meant = verdict.address.endpoint() == external &&
                            is_over_udp(verdict.address) == is_udp &&
                            verdict.status != Reachability::unknown;
      if (is_meant)
        mapper_->judge(listener.transport, external, verdict.status == Reachability::reachable);
    }
  }
}

PortMappingReport MappedPorts::report() const {
  PortMappingReport out;
  out.is_on = is_on_;
  out.reason = "port mapping is off";
  if (!mapper_) return out;
  const auto report = mapper_->report();
  out.reason = report.words;
  for (const auto& each : report.mappings) {
    PortMappingStatus status;
    status.transport = name(each.listener.transport);
    status.internal = each.listener.at.to_string();
    if (each.external) status.external = each.external->to_string();
    status.state = name(each.state);
    if (each.method) status.protocol = name(*each.method);
    for (const auto& router : each.routers) status.routers.push_back(router.to_string());
    status.lifetime_left = each.lifetime_left;
    status.reason = each.words;
    out.mappings.push_back(std::move(status));
  }
  for (const auto& each : report.attempts)
    out.attempts.push_back({each.server.to_string(), std::string(name(each.method)),
                            std::string(state_name(each.state)), each.words, each.took,
                            each.external ? each.external->to_string() : "", each.name,
                            each.lacks_outside, each.has_nat_between});
  return out;
}

void MappedPorts::on_mapping(const portmap::MappingEvent& event) {
  const auto stage = stage_of(event.kind);
  log_.info("port mapping", {{"what", name(stage)},
                             {"inside", event.listener.at.to_string()},
                             {"outside", event.external.to_string()},
                             {"protocol", name(event.method)}});
  const bool is_udp = event.listener.transport == portmap::Transport::udp;
  PortMappingChanged told;
  told.stage = stage;
  told.transport = name(event.listener.transport);
  told.internal = event.listener.at;
  told.external = event.external;
  told.protocol = name(event.method);
  told.reason = event.words;
  callbacks_.on_event(told);
  if (stage == PortMappingChanged::Stage::confirmed || stage == PortMappingChanged::Stage::broken)
    return;  // What can be reached is the same as before.
  MappingChanged change;
  change.is_gained = stage != PortMappingChanged::Stage::lost;
  change.is_udp = is_udp;
  change.local_port = event.listener.at.port;
  change.external = event.external;
  callbacks_.on_change(change);
}

portmap::Recalled MappedPorts::recall(const portmap::NetworkId& network) const {
  portmap::Recalled recalled;
  const auto* known = memory_.find(key_of(network.gateway, network.local));
  if (!known) return recalled;
  if (const auto method = portmap::parse_method(known->protocol)) recalled.method = *method;
  const auto nonce = from_hex(known->nonce);
  if (nonce && nonce->size() == portmap::pcp::Nonce().size()) {
    recalled.nonce.emplace();
    std::ranges::copy(*nonce, recalled.nonce->begin());
  }
  return recalled;
}

void MappedPorts::remember(const portmap::NetworkId& network, const portmap::Recalled& recalled) {
  auto gateway = network.gateway;
  // When the mapper came here, nobody may have spoken to the router yet.
  for (const auto& each : env_.default_gateways())
    if (each.ip == gateway.ip && each.interface_name == gateway.interface_name) gateway = each;
  auto* known = memory_.at(key_of(gateway, network.local));
  if (!known) return;
  known->protocol = recalled.method ? name(*recalled.method) : "";
  if (recalled.nonce) known->nonce = to_hex(*recalled.nonce);
}

}  // namespace pyrsia::host

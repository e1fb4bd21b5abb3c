#include "host/mapped_ports.hpp"

#include "base/hex.hpp"

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
  if (address.is_plain_tcp()) return portmap::Listener{portmap::Transport::tcp, *endpoint};
  if (address.is_quic_v1()) return portmap::Listener{portmap::Transport::udp, *endpoint};
  return std::nullopt;
}

Multiaddr address_of(portmap::Transport transport, const Endpoint& external) {
  return transport == portmap::Transport::tcp ? Multiaddr::tcp(external)
                                              : Multiaddr::quic_v1(external);
}

std::string_view state_name(portmap::Attempt::State state) {
  switch (state) {
    case portmap::Attempt::State::asking: return "asking";
    case portmap::Attempt::State::found: return "found";
    case portmap::Attempt::State::failed: return "failed";
  }
  return "";
}

}  // namespace

MappedPorts::MappedPorts(Env& env, const Config& config, const AddressClassifier& classifier,
                         NetworkMemory& memory, std::function<void()> on_change, Logger log)
    : is_on_(config.port_mapping.mode == PortMappingMode::automatic &&
             config.scope != AddressScope::loopback),
      memory_(memory),
      on_change_(std::move(on_change)),
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
    const auto address = address_of(listener.transport, external);
    const auto found = std::ranges::find(verdicts, address, &AddressVerdict::address);
    if (found == verdicts.end() || found->status == Reachability::unknown) continue;
    mapper_->judge(listener.transport, external, found->status == Reachability::reachable);
  }
}

std::vector<Multiaddr> MappedPorts::addresses() const {
  std::vector<Multiaddr> out;
  if (!mapper_) return out;
  for (const auto& [listener, external] : mapper_->externals())
    out.push_back(address_of(listener.transport, external));
  return out;
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
                            std::string(state_name(each.state)), each.words, each.took});
  return out;
}

void MappedPorts::add_counters(std::map<std::string, std::uint64_t>& out) const {
  const auto add = [&](const char* name, const Counter& counter) {
    out.emplace("pyrsia_portmap_" + std::string(name) + "_total", counter.value());
  };
  add("requests_sent", metrics_.requests_sent);
  add("answers", metrics_.answers);
  add("answers_discarded", metrics_.answers_discarded);
  add("refusals", metrics_.refusals);
  add("granted", metrics_.granted);
  add("renewed", metrics_.renewed);
  add("renewals_failed", metrics_.renewals_failed);
  add("lost", metrics_.lost);
  add("removed", metrics_.removed);
  add("removals_failed", metrics_.removals_failed);
  add("router_restarts", metrics_.router_restarts);
  add("network_changes", metrics_.network_changes);
  add("rounds", metrics_.rounds);
  add("no_gateway", metrics_.no_gateway);
  add("nested", metrics_.nested);
  add("lies", metrics_.lies);
  add("ports_over_limit", metrics_.ports_over_limit);
  const auto& memory = memory_.metrics();
  out.emplace("pyrsia_network_memory_reads_total", memory.reads.value());
  out.emplace("pyrsia_network_memory_read_failures_total", memory.read_failures.value());
  out.emplace("pyrsia_network_memory_writes_total", memory.writes.value());
  out.emplace("pyrsia_network_memory_write_failures_total", memory.write_failures.value());
  out.emplace("pyrsia_network_memory_forgotten_total", memory.forgotten.value());
}

void MappedPorts::on_mapping(const portmap::MappingEvent& event) {
  using Kind = portmap::MappingEvent::Kind;
  const auto* const what = event.kind == Kind::lost     ? "port mapping lost"
                           : event.kind == Kind::gained ? "port mapping gained"
                                                        : "port mapping changed";
  log_.info(what, {{"inside", event.listener.at.to_string()},
                   {"outside", event.external.to_string()},
                   {"protocol", name(event.method)}});
  on_change_();
}

portmap::Recalled MappedPorts::recall(const portmap::NetworkId& network) {
  const auto key = key_of(network.gateway, network.local);
  std::erase_if(networks_, [&](const NetworkKey& each) { return each.gateway == key.gateway; });
  networks_.insert(networks_.begin(), key);
  if (networks_.size() > kMaxNetworks) networks_.pop_back();
  portmap::Recalled recalled;
  const auto* known = memory_.find(key);
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
  auto& known = memory_.at(key_of(network.gateway, network.local));
  known.protocol = recalled.method ? name(*recalled.method) : "";
  if (recalled.nonce) known.nonce = to_hex(*recalled.nonce);
}

}  // namespace pyrsia::host

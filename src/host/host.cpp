#include "host/host_state.hpp"

#include <pyrsia/host.hpp>

#include <cassert>

namespace pyrsia {

Result<std::unique_ptr<Host>> Host::make(Runtime& runtime, KeyPair key, Config config) {
  return make(runtime.env(), std::move(key), std::move(config));
}

Result<std::unique_ptr<Host>> Host::make(Env& env, KeyPair key, Config config) {
  PYRSIA_TRY(validate(config, nullptr));
  auto state = std::make_unique<State>(env, key, std::move(config));
  return std::unique_ptr<Host>(new Host(std::move(state)));
}

Host::Host(std::unique_ptr<State> state) : state_(std::move(state)) {}

Host::~Host() = default;

Task<> Host::start(std::string* detail) {
  auto started = co_await state_->start(detail);
  if (!started) PYRSIA_CO_TRY(co_await state_->stop());
  co_return started;
}

Task<> Host::stop() {
  return state_->stop();
}

const PeerId& Host::peer_id() const {
  return state_->swarm.local_peer();
}

std::vector<Multiaddr> Host::listen_addresses() const {
  return state_->swarm.listen_addresses();
}

std::vector<Multiaddr> Host::advertised_addresses() const {
  return state_->advertised_addresses();
}

NatReport Host::nat() const {
  return state_->nat();
}

PortMappingReport Host::port_mapping() const {
  return state_->mapped_ports.report();
}

std::vector<std::string> Host::nat64_prefixes() const {
  std::vector<std::string> out;
  if (!state_->network_watcher) return out;
  for (const auto& one : state_->network_watcher->nat64_prefixes())
    out.push_back(one.prefix.to_string() + "/" + std::to_string(one.bits));
  return out;
}

void Host::network_changed() {
  ++state_->network_change_count;
  state_->mapped_ports.network_changed();
}

std::uint64_t Host::network_change_count() const {
  return state_->network_change_count;
}

std::vector<PeerInfo> Host::peers() const {
  return state_->peers();
}

std::vector<PathInfo> Host::paths(const PeerId& peer) const {
  std::vector<PathInfo> out;
  for (const auto& each : state_->swarm.connections_to(peer)) {
    const bool is_inbound = each.direction == swarm::Direction::inbound;
    out.push_back({each.local, each.remote, is_inbound, each.security, each.muxer_protocol});
  }
  return out;
}

Task<> Host::connect(PeerId peer, std::vector<Multiaddr> addresses) {
  return connect(std::move(peer), std::move(addresses), nullptr);
}

Task<> Host::connect(PeerId peer, std::vector<Multiaddr> addresses, std::string* detail) {
  swarm::DialRequest request{
      .peer = std::move(peer), .addresses = std::move(addresses), .detail = detail};
  PYRSIA_CO_TRY(co_await state_->swarm.connect(std::move(request)));
  co_return ok;
}

Task<std::unique_ptr<Stream>> Host::open_stream(PeerId peer, std::string protocol) {
  return state_->swarm.open_stream(std::move(peer), std::move(protocol));
}

void Host::on(std::string protocol,
              std::function<Task<>(PeerId peer, std::unique_ptr<Stream> stream)> handler) {
  state_->swarm.handle(std::move(protocol), swarm::ProtocolLimits(),
                       [handler = std::move(handler)](swarm::IncomingStream incoming) {
                         return handler(incoming.connection.peer, std::move(incoming.stream));
                       });
}

Task<Duration> Host::ping(PeerId peer) {
  return state_->pinger.ping(std::move(peer));
}

Task<HostEvent> Host::next_event() {
  return state_->events.next();
}

std::map<std::string, std::uint64_t> Host::counters() const {
  return state_->counters();
}

}  // namespace pyrsia

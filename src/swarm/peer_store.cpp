#include "swarm/peer_store.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::swarm {

PeerStore::Peer& PeerStore::touch(const PeerId& peer) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) {
    make_room();
    found = peers_.try_emplace(peer).first;
  } else if (found->second.pins == 0) {
    unpinned_.erase(found->second.touched);
  }
  auto& entry = found->second;
  entry.touched = ++touches_;
  if (entry.pins == 0) unpinned_.emplace(entry.touched, peer);
  return entry;
}

void PeerStore::make_room() {
  if (peers_.size() < limits_.peers || unpinned_.empty()) return;
  const auto oldest = unpinned_.begin();
  peers_.erase(oldest->second);
  unpinned_.erase(oldest);
  ++evictions_;
}

void PeerStore::add_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses,
                              AddressSource source, TimePoint now, Duration lifetime) {
  if (addresses.empty()) return;
  auto& entry = touch(peer);
  for (const auto& address : addresses) {
    const auto named = address.peer_id();
    if (named && *named != peer) continue;
    auto bare = address.without_peer();
    if (!bare.empty()) add_address(entry, bare, source, now + lifetime);
  }
}

void PeerStore::add_address(Peer& entry, const Multiaddr& address, AddressSource source,
                            TimePoint expires) {
  auto& known = entry.addresses;
  const auto same =
      std::ranges::find_if(known, [&](const Address& a) { return a.address == address; });
  if (same != known.end()) {
    same->source = std::min(same->source, source);
    same->expires_at = std::max(same->expires_at, expires);
    return;
  }
  if (known.size() >= limits_.addresses_of_one_peer) {
    const auto worst = std::ranges::max_element(known, {}, [](const Address& a) {
      return std::pair(a.source, -a.expires_at.time_since_epoch());
    });
    if (worst == known.end() || worst->source < source) return;
    known.erase(worst);
  }
  known.push_back({address, source, expires});
}

void PeerStore::set_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses,
                              AddressSource source, TimePoint now, Duration lifetime) {
  auto& entry = touch(peer);
  std::erase_if(entry.addresses, [&](const Address& a) { return a.source == source; });
  add_addresses(peer, addresses, source, now, lifetime);
}

void PeerStore::remove_address(const PeerId& peer, const Multiaddr& address) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const auto bare = address.without_peer();
  std::erase_if(found->second.addresses, [&](const Address& a) { return a.address == bare; });
}

std::vector<Multiaddr> PeerStore::addresses(const PeerId& peer, TimePoint now) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return {};
  std::vector<Multiaddr> addresses;
  for (const auto source :
       {AddressSource::manual, AddressSource::signed_record, AddressSource::identify,
        AddressSource::bootstrap, AddressSource::observed}) {
    for (const auto& each : found->second.addresses)
      if (each.source == source && each.expires_at > now) addresses.push_back(each.address);
  }
  return addresses;
}

std::optional<std::uint64_t> PeerStore::record_sequence(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return std::nullopt;
  return found->second.record_sequence;
}

void PeerStore::set_record_sequence(const PeerId& peer, std::uint64_t sequence) {
  touch(peer).record_sequence = sequence;
}

void PeerStore::set_protocols(const PeerId& peer, std::vector<std::string> protocols) {
  std::erase_if(protocols,
                [this](const std::string& name) { return name.size() > limits_.string_bytes; });
  if (protocols.size() > limits_.protocols_of_one_peer)
    protocols.resize(limits_.protocols_of_one_peer);
  touch(peer).protocols = std::move(protocols);
}

bool PeerStore::supports(const PeerId& peer, std::string_view protocol) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return false;
  const auto& names = found->second.protocols;
  return std::ranges::find(names, protocol) != names.end();
}

bool PeerStore::knows_protocols(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && !found->second.protocols.empty();
}

std::vector<std::string> PeerStore::protocols(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? std::vector<std::string>() : found->second.protocols;
}

void PeerStore::set_agent(const PeerId& peer, std::string agent, std::string protocol_version) {
  agent.resize(std::min(agent.size(), limits_.string_bytes));
  protocol_version.resize(std::min(protocol_version.size(), limits_.string_bytes));
  auto& entry = touch(peer);
  entry.agent = std::move(agent);
  entry.protocol_version = std::move(protocol_version);
}

std::string PeerStore::agent(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? std::string() : found->second.agent;
}

void PeerStore::pin(const PeerId& peer, bool is_pinned) {
  auto& entry = touch(peer);
  if (is_pinned) {
    if (entry.pins++ == 0) unpinned_.erase(entry.touched);
  } else {
    assert(entry.pins > 0);
    if (--entry.pins == 0) unpinned_.emplace(entry.touched, peer);
  }
}

void PeerStore::expire(TimePoint now) {
  for (auto at = peers_.begin(); at != peers_.end();) {
    auto& entry = at->second;
    std::erase_if(entry.addresses, [now](const Address& a) { return a.expires_at <= now; });
    if (entry.pins > 0 || !entry.addresses.empty()) {
      ++at;
      continue;
    }
    unpinned_.erase(entry.touched);
    at = peers_.erase(at);
  }
}

}  // namespace pyrsia::swarm

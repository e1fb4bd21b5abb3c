#include "sim/nat.hpp"

#include <algorithm>

namespace pyrsia::sim {

bool NatTable::is_forbidden(const Packet& packet) const {
  constexpr std::size_t kLargestWhole = 1472;  // 1500 less the headers of IPv4 and UDP.
  if (packet.protocol != Protocol::udp) return false;
  return config_.blocks_udp || (config_.drops_fragments && packet.payload.size() > kLargestWhole);
}

bool NatTable::translate_outbound(Packet& packet, TimePoint now) {
  if (is_forbidden(packet)) return false;
  if (config_.blocks_dials && !forward_from(packet)) return false;
  const auto external = external_for(packet.from.ip);
  if (const auto* forward = external ? forward_from(packet) : nullptr) {
    packet.from = {*external, forward->external_port};
    return true;
  }
  auto* mapping = find_or_make(packet, now);
  if (!mapping) return false;
  mapping->expires_at = now + lifetime(packet.protocol);
  mapping->contacted.insert_or_assign(packet.to, mapping->expires_at);
  packet.from = mapping->outer;
  return true;
}

NatTable::Verdict NatTable::translate_inbound(Packet& packet, TimePoint now) {
  if (is_forbidden(packet)) return Verdict::drop;
  if (const auto* forward = forward_to(packet)) {
    packet.to = forward->inner;
    return Verdict::pass;
  }
  const auto found = mappings_.find({packet.protocol, packet.to});
  const bool is_known = found != mappings_.end() && found->second.expires_at > now;
  if (is_known && may_pass(found->second, packet.from, now)) {
    const bool refreshes = packet.protocol == Protocol::tcp || config_.inbound_refreshes_udp;
    if (refreshes) {
      found->second.expires_at = now + lifetime(packet.protocol);
      const auto contacted = found->second.contacted.find(packet.from);
      if (contacted != found->second.contacted.end()) contacted->second = found->second.expires_at;
    }
    packet.to = found->second.inner;
    return Verdict::pass;
  }
  const bool is_new_connection = packet.protocol == Protocol::tcp && packet.syn && !packet.ack;
  return config_.refuses_tcp && is_new_connection ? Verdict::refuse : Verdict::drop;
}

bool NatTable::is_external(const IpAddress& ip) const {
  return std::ranges::find(config_.external, ip) != config_.external.end();
}

void NatTable::remove_forward(Protocol protocol, std::uint16_t external_port) {
  std::erase_if(config_.forwards, [&](const PortForward& forward) {
    return forward.protocol == protocol && forward.external_port == external_port;
  });
}

void NatTable::forget() {
  mappings_.clear();
  by_key_.clear();
}

NatTable::Key NatTable::key_of(const Packet& packet) const {
  Key key{packet.protocol, packet.from, {}};
  if (config_.mapping != Dependence::endpoint_independent) key.remote.ip = packet.to.ip;
  if (config_.mapping == Dependence::address_and_port_dependent) key.remote.port = packet.to.port;
  return key;
}

std::optional<IpAddress> NatTable::external_for(const IpAddress& inner) const {
  const auto same_family = [&](const IpAddress& ip) { return ip.is_v6() == inner.is_v6(); };
  const auto found = std::ranges::find_if(config_.external, same_family);
  if (found == config_.external.end()) return std::nullopt;
  return *found;
}

NatTable::Mapping* NatTable::find_or_make(const Packet& packet, TimePoint now) {
  const auto external = external_for(packet.from.ip);
  // What is not translated keeps one mapping an inner endpoint: only its filter matters.
  const auto key = external ? key_of(packet) : Key{packet.protocol, packet.from, {}};
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) {
    auto& mapping = mappings_.at(known->second);
    if (mapping.expires_at > now) return &mapping;
    mappings_.erase(known->second);
    by_key_.erase(known);
  }
  if (mappings_.size() >= config_.max_mapping_count) erase_expired(now);
  if (mappings_.size() >= config_.max_mapping_count) return nullptr;
  auto outer = packet.from;
  if (external) {
    const auto port = allocate(packet.protocol, *external, packet.from.port, now);
    if (!port) return nullptr;
    outer = {*external, *port};
  }
  const Outer at{packet.protocol, outer};
  if (const auto stale = mappings_.find(at); stale != mappings_.end())
    by_key_.erase(stale->second.key);
  by_key_.emplace(key, at);
  return &mappings_.insert_or_assign(at, Mapping{packet.from, outer, key, now, {}}).first->second;
}

std::optional<std::uint16_t> NatTable::allocate(Protocol protocol, const IpAddress& ip,
                                                std::uint16_t inner_port, TimePoint now) {
  const std::uint32_t first = config_.first_port;
  const std::uint32_t count = 65536 - first;
  auto start = first_choice(inner_port);
  if (start < first || start > 65535) start = first;
  const bool keeps_parity = config_.allocation == PortAllocation::parity;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto port = std::uint16_t(first + (start - first + i) % count);
    if (keeps_parity && (port - inner_port) % 2 != 0) continue;
    if (!is_free({protocol, {ip, port}}, now)) continue;
    last_port_ = port;
    return port;
  }
  return std::nullopt;
}

std::uint32_t NatTable::first_choice(std::uint16_t inner_port) {
  const std::uint32_t first = config_.first_port;
  const std::uint32_t count = 65536 - first;
  switch (config_.allocation) {
    case PortAllocation::preserve: return inner_port;
    case PortAllocation::contiguous:
      return first + (inner_port + config_.port_offset - first) % count;
    case PortAllocation::sequential: return std::uint32_t(last_port_) + config_.port_step;
    case PortAllocation::parity:
    case PortAllocation::random: return first + std::uint32_t(random_() % count);
  }
  return inner_port;
}

bool NatTable::is_free(const Outer& outer, TimePoint now) const {
  const auto taken = [&](const PortForward& forward) {
    return forward.protocol == outer.protocol && forward.external_port == outer.endpoint.port;
  };
  if (std::ranges::any_of(config_.forwards, taken)) return false;
  const auto found = mappings_.find(outer);
  return found == mappings_.end() || found->second.expires_at <= now;
}

const PortForward* NatTable::forward_to(const Packet& packet) const {
  const bool is_translated = is_external(packet.to.ip);
  for (const auto& forward : config_.forwards) {
    if (forward.protocol != packet.protocol || forward.external_port != packet.to.port) continue;
    if (is_translated ? forward.inner.ip.is_v6() == packet.to.ip.is_v6()
                      : forward.inner == packet.to)
      return &forward;
  }
  return nullptr;
}

const PortForward* NatTable::forward_from(const Packet& packet) const {
  const auto matches = [&](const PortForward& forward) {
    return forward.protocol == packet.protocol && forward.inner == packet.from;
  };
  const auto found = std::ranges::find_if(config_.forwards, matches);
  return found == config_.forwards.end() ? nullptr : &*found;
}

bool NatTable::may_pass(const Mapping& mapping, const Endpoint& from, TimePoint now) const {
  if (config_.filtering == Dependence::endpoint_independent) return true;
  const bool is_any_port = config_.filtering == Dependence::address_dependent;
  const Endpoint first{from.ip, is_any_port ? std::uint16_t(0) : from.port};
  const Endpoint last{from.ip, is_any_port ? std::uint16_t(65535) : from.port};
  const auto end = mapping.contacted.upper_bound(last);
  return std::any_of(mapping.contacted.lower_bound(first), end,
                     [&](const auto& entry) { return entry.second > now; });
}

Duration NatTable::lifetime(Protocol protocol) const {
  return protocol == Protocol::tcp ? config_.tcp_lifetime : config_.udp_lifetime;
}

void NatTable::erase_expired(TimePoint now) {
  std::erase_if(by_key_,
                [&](const auto& entry) { return mappings_.at(entry.second).expires_at <= now; });
  std::erase_if(mappings_, [&](const auto& entry) { return entry.second.expires_at <= now; });
}

}  // namespace pyrsia::sim

#include "sim/nat_kinds.hpp"

#include <algorithm>
#include <vector>

namespace pyrsia::sim {
namespace {

using enum Dependence;

NatConfig behaviour(Dependence mapping, Dependence filtering, PortAllocation allocation) {
  NatConfig config;
  config.mapping = mapping;
  config.filtering = filtering;
  config.allocation = allocation;
  return config;
}

NatConfig easy(Dependence filtering) {
  return behaviour(endpoint_independent, filtering, PortAllocation::preserve);
}

NatConfig hard(PortAllocation allocation) {
  return behaviour(address_and_port_dependent, address_and_port_dependent, allocation);
}

std::vector<NatKind> make_kinds() {
  std::vector<NatKind> kinds{
      {"full-cone", true, easy(endpoint_independent)},
      {"restricted-cone", true, easy(address_dependent)},
      {"port-restricted", true, easy(address_and_port_dependent)},
      {"address-dependent-mapping", true,
       behaviour(address_dependent, address_and_port_dependent, PortAllocation::random)},
      {"symmetric", true, hard(PortAllocation::random)},
      {"symmetric-sequential", true, hard(PortAllocation::sequential)},
      {"symmetric-step-2", true, hard(PortAllocation::sequential)},
      {"symmetric-open-filter", true,
       behaviour(address_and_port_dependent, endpoint_independent, PortAllocation::random)},
      {"easy-random-ports", true,
       behaviour(endpoint_independent, address_and_port_dependent, PortAllocation::random)},
      {"easy-sequential-ports", true,
       behaviour(endpoint_independent, address_and_port_dependent, PortAllocation::sequential)},
      {"easy-contiguous-ports", true,
       behaviour(endpoint_independent, address_and_port_dependent, PortAllocation::contiguous)},
      {"easy-parity", true,
       behaviour(endpoint_independent, address_and_port_dependent, PortAllocation::parity)},
      {"hairpin", true, easy(endpoint_independent)},
      {"hairpin-port-restricted", true, easy(address_and_port_dependent)},
      {"short-lived", true, easy(address_and_port_dependent)},
      {"linux-lifetime", true, easy(address_and_port_dependent)},
      {"no-fragments", true, easy(address_and_port_dependent)},
      {"firewall", false, easy(address_and_port_dependent)},
      {"open-firewall", false, easy(endpoint_independent)},
      {"udp-blocked", true, easy(address_and_port_dependent)},
  };
  for (auto& kind : kinds) {
    auto& config = kind.config;
    if (kind.name == "symmetric-step-2") config.port_step = 2;
    if (kind.name.starts_with("hairpin")) config.has_hairpin = true;
    if (kind.name == "short-lived") config.udp_lifetime = std::chrono::seconds(20);
    if (kind.name == "linux-lifetime") config.udp_lifetime = std::chrono::seconds(30);
    if (kind.name == "no-fragments") config.drops_fragments = true;
    if (kind.name == "udp-blocked") config.blocks_udp = true;
  }
  return kinds;
}

}  // namespace

std::span<const NatKind> nat_kinds() {
  static const std::vector<NatKind> kKinds = make_kinds();
  return kKinds;
}

const NatKind* find_nat_kind(std::string_view name) {
  const auto kinds = nat_kinds();
  const auto found = std::ranges::find(kinds, name, &NatKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

}  // namespace pyrsia::sim

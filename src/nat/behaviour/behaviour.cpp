#include "nat/behaviour/behaviour.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

namespace pyrsia::nat {
namespace {

constexpr std::size_t kMinSamples = 4;
/// Ports that others take between two of ours. Our limit.
constexpr int kMaxStep = 64;

constexpr std::array kDependences{Dependence::endpoint_independent, Dependence::address_dependent,
                                  Dependence::address_and_port_dependent};
constexpr std::array kAllocations{Allocation::preserved, Allocation::contiguous,
                                  Allocation::sequential, Allocation::parity, Allocation::random};

/// The step that most neighbours are apart, if all go the same way and none far.
std::optional<int> step_of(std::span<const PortSample> samples) {
  std::map<int, int> counts;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const int step = samples[i].mapped - samples[i - 1].mapped;
    if (step == 0 || std::abs(step) > kMaxStep) return std::nullopt;
    ++counts[step];
  }
  if (counts.begin()->first < 0 && counts.rbegin()->first > 0) return std::nullopt;
  const auto more = [](const auto& a, const auto& b) { return a.second < b.second; };
  return std::ranges::max_element(counts, more)->first;
}

bool is_offset_constant(std::span<const PortSample> samples) {
  const auto offset = [](const PortSample& sample) { return sample.mapped - sample.local; };
  return std::ranges::all_of(
      samples, [&](const PortSample& sample) { return offset(sample) == offset(samples[0]); });
}

}  // namespace

std::string_view name(Dependence dependence) {
  switch (dependence) {
    case Dependence::endpoint_independent: return "endpoint-independent";
    case Dependence::address_dependent: return "address-dependent";
    case Dependence::address_and_port_dependent: return "address-and-port-dependent";
  }
  return "";
}

std::string short_name(Dependence dependence, char what) {
  constexpr std::array<std::string_view, 3> kNames{"EI", "AD", "APD"};
  return std::string(kNames[static_cast<std::size_t>(dependence)]) + what;
}

std::string_view name(Allocation allocation) {
  switch (allocation) {
    case Allocation::preserved: return "preserved";
    case Allocation::contiguous: return "contiguous";
    case Allocation::sequential: return "sequential";
    case Allocation::parity: return "parity";
    case Allocation::random: return "random";
  }
  return "";
}

std::optional<Dependence> dependence_named(std::string_view wanted) {
  for (const auto dependence : kDependences)
    if (name(dependence) == wanted) return dependence;
  return std::nullopt;
}

std::optional<Allocation> allocation_named(std::string_view wanted) {
  for (const auto allocation : kAllocations)
    if (name(allocation) == wanted) return allocation;
  return std::nullopt;
}

std::optional<bool> is_predictable(const UdpBehaviour& behaviour) {
  if (!behaviour.allocation) return std::nullopt;
  return *behaviour.allocation != Allocation::parity && *behaviour.allocation != Allocation::random;
}

std::string_view cone_name(const UdpBehaviour& behaviour) {
  using enum Dependence;
  if (behaviour.is_blocked.value_or(false)) return "UDP blocked";
  if (behaviour.has_nat == false) {
    if (behaviour.filtering == endpoint_independent) return "open internet";
    return behaviour.filtering ? "firewall without NAT" : "";
  }
  if (behaviour.mapping == address_dependent || behaviour.mapping == address_and_port_dependent)
    return "symmetric";
  if (!behaviour.mapping || !behaviour.filtering) return "";
  switch (*behaviour.filtering) {
    case endpoint_independent: return "full cone";
    case address_dependent: return "restricted cone";
    case address_and_port_dependent: return "port-restricted cone";
  }
  return "";
}

std::optional<AllocationFinding> allocation_of(std::span<const PortSample> samples) {
  if (samples.size() < kMinSamples) return std::nullopt;
  const auto kept = std::ranges::count_if(
      samples, [](const PortSample& sample) { return sample.local == sample.mapped; });
  // One or two may have been taken by other hosts inside.
  if (4 * kept >= 3 * static_cast<std::ptrdiff_t>(samples.size()))
    return AllocationFinding{Allocation::preserved, 0};
  if (is_offset_constant(samples)) return AllocationFinding{Allocation::contiguous, 0};
  if (const auto step = step_of(samples)) return AllocationFinding{Allocation::sequential, *step};
  const auto keeps_parity = [](const PortSample& sample) {
    return (sample.local - sample.mapped) % 2 == 0;
  };
  if (std::ranges::all_of(samples, keeps_parity)) return AllocationFinding{Allocation::parity, 0};
  return AllocationFinding{Allocation::random, 0};
}

}  // namespace pyrsia::nat

/// How NAT boxes and firewalls behave, in the words of RFC 4787 (UDP) and RFC 5382 (TCP). What was
/// not found out is not there: unknown is not false.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::nat {

/// What of the remote endpoint counts: for a mapping, when it is used again; for a filter, who may
/// send through it. RFC 4787, 4.1 and 5.
enum class Dependence { endpoint_independent, address_dependent, address_and_port_dependent };

/// How a NAT chooses the outer port. RFC 4787, 4.2.
enum class Allocation {
  preserved,   ///< The inner port.
  contiguous,  ///< Neighbours inside are neighbours outside.
  sequential,  ///< The last one and a fixed step.
  parity,      ///< Any, but odd stays odd and even even.
  random,
};

/// How long a mapping lives without traffic: it was alive after the one, gone after the other.
struct LifetimeRange {
  Duration alive{0};
  std::optional<Duration> gone;  ///< Nothing: it outlived the longest wait.
  bool operator==(const LifetimeRange&) const = default;
};

/// What was found out about UDP, over one family.
struct UdpBehaviour {
  std::optional<bool> is_blocked;
  std::optional<Endpoint> local;
  std::optional<Endpoint> mapped;
  std::optional<bool> has_nat;
  std::optional<bool> mapping_varies;  ///< Known before `mapping` where servers are few.
  std::optional<Dependence> mapping;
  std::optional<Dependence> filtering;
  std::optional<Allocation> allocation;
  std::optional<int> allocation_step;  ///< Of a sequential one.
  std::optional<bool> has_hairpin;
  std::optional<bool> passes_fragments;
  std::optional<LifetimeRange> lifetime;
  std::optional<Duration> round_trip;  ///< To the server that was asked.

  bool operator==(const UdpBehaviour&) const = default;
};

/// "endpoint-independent", … and "EIM", "ADF" and the like for who knows them.
std::string_view name(Dependence dependence);
std::string short_name(Dependence dependence, char what);
std::string_view name(Allocation allocation);
/// The reverse. Nothing: no such name.
std::optional<Dependence> dependence_named(std::string_view name);
std::optional<Allocation> allocation_named(std::string_view name);

/// Can the port be guessed that it takes for somebody new? Nothing: not known.
std::optional<bool> is_predictable(const UdpBehaviour& behaviour);

/// The name that RFC 3489 had for it, as a hint: "full cone", …; empty if there is none.
std::string_view cone_name(const UdpBehaviour& behaviour);

/// One mapping that was seen: in the order in which the requests left.
struct PortSample {
  std::uint16_t local = 0;
  std::uint16_t mapped = 0;
};
struct AllocationFinding {
  Allocation allocation = Allocation::random;
  int step = 0;
};
/// What the samples, of different inner ports, say. Fewer than four say nothing. Local ports must
/// not rise in order, or contiguous and sequential look the same.
std::optional<AllocationFinding> allocation_of(std::span<const PortSample> samples);

}  // namespace pyrsia::nat

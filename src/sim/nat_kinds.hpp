/// Kinds of NAT and firewall by name, as they are met in homes, offices and at carriers. The lab
/// (tests/lab) has the same ones of real kernels, and its userspace NAT box runs these very tables.
#pragma once

#include "sim/nat.hpp"

#include <span>
#include <string_view>

namespace pyrsia::sim {

/// One kind. Its outer addresses are for the user to fill in: a firewall has none.
struct NatKind {
  std::string_view name;
  bool translates = true;
  NatConfig config;
};

std::span<const NatKind> nat_kinds();
/// Null: there is none of that name.
const NatKind* find_nat_kind(std::string_view name);

}  // namespace pyrsia::sim

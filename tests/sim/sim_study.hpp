/// The conditions of the AutoNAT study of 2026, with whole hosts in virtual time.
#pragma once

#include "sim_node.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::test {

enum class StudyKind {
  none,
  firewall,
  full_cone,
  address_restricted,
  port_restricted,
  symmetric,
  double_nat,
};
std::string_view name(StudyKind kind);

struct StudyCondition {
  std::string_view name;
  Duration one_way_delay = std::chrono::milliseconds(50);  ///< Between the node and all others.
  double loss = 0;
  std::size_t server_count = 3;  ///< That the node knows; there is one more in the cluster.
  bool is_helper_mute = false;   ///< The one more can be reached, and cannot dial.
  std::size_t flaky_count = 0;   ///< Of these: refuse, lose most packets, or die and come back.
  /// A port is forwarded to the node after a minute, or is no more. Noticed by itself, or after
  /// something tells of it.
  enum class Forward { none, added, removed } forward = Forward::none;
};

/// What became of one node.
struct StudyRun {
  bool is_truly_reachable = false;
  std::optional<Duration> provisional;  ///< First verdict that is not "unknown".
  std::optional<Duration> confirmed;    ///< And when three networks agreed on the last.
  std::optional<Duration> noticed;      ///< The change of the forward, after the trigger.
  Reachability final_status = Reachability::unknown;
  std::string reason;
  std::size_t flips = 0;  ///< Changes between reachable and unreachable that nothing had caused.
  bool was_falsely_reachable = false;
  bool is_falsely_unreachable = false;  ///< At the end.
};

/// One node in one world, watched for three minutes. The same seed gives the same.
StudyRun run_study(StudyKind kind, const StudyCondition& condition, std::uint64_t seed);

}  // namespace pyrsia::test

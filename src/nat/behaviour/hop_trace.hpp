/// Which routers are on the way, and which of them has the address that others see us at. Found out
/// by datagrams that may pass few routers only, as traceroute(8) does it.
#pragma once

#include "nat/behaviour/report.hpp"
#include "runtime/net.hpp"

#include <array>
#include <optional>

namespace pyrsia::nat {

/// What comes of datagrams with hop limits from 1 on, to a server and to the address that it sees
/// us at (`mapped`). A plain state machine: who runs it is HopProbe.
///
/// A router says that a datagram has expired if it would have sent it on; what is for the router
/// itself has arrived there. So who says so of one to the mapped address has not got that address,
/// and the NAT that has it stands further away. The reverse, silence, counts at the first router
/// only, and only if it does say so of datagrams to the server that left after those.
class HopTrace {
 public:
  static constexpr std::size_t kMaxHops = 6;
  /// Routers tell of few expired datagrams at a time: Linux of six.
  static constexpr int kTransmissions = 3;

  enum class Target { mapped, server };

  /// Whether the datagram that expires at router `hop`, from 1 on, is still to be sent. Of each
  /// transmission the one to the mapped address leaves first.
  bool is_wanted(Target target, std::size_t hop) const;
  void sent(Target target, std::size_t hop);
  void take(Target target, std::size_t hop, const UdpError& error);
  HopFacts facts() const;

 private:
  struct Fate {
    int sent_count = 0;
    int expired_count = 0;
    std::optional<IpAddress> expired_at;
    bool is_refused = false;
  };
  const Fate& fate(Target target, std::size_t hop) const;
  Fate& fate(Target target, std::size_t hop);
  std::optional<bool> judge_first() const;

  std::array<std::array<Fate, kMaxHops>, 2> fates_;
};

}  // namespace pyrsia::nat

/// The nonces that a client waits for, and what has arrived with them. Pure.
/// Spec: libp2p/specs, autonat/autonat-v2.md, "AutoNAT V2 Protocol".
#pragma once

#include "swarm/connection.hpp"

#include <pyrsia/time.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace pyrsia::autonat_v2 {

/// A dial-back that arrived, as far as it matters.
struct ArrivedDialBack {
  swarm::ConnectionInfo connection;
  bool is_from_known_ip = false;
  /// From where we have sent UDP packets to: every NAT and firewall lets the answers in, and what
  /// comes the same way.
  bool is_by_open_way = false;
};

/// Each nonce is taken once, and only while somebody waits for it. Bounded by those who wait.
class DialBackInbox {
 public:
  /// Waits for `nonce` from now on. `on_arrival` is called at most once, from take().
  void expect(std::uint64_t nonce, std::function<void()> on_arrival);
  /// Ends that.
  void forget(std::uint64_t nonce) { waiting_.erase(nonce); }
  /// A nonce has come. False if nobody waits for it, or it has come before.
  bool take(std::uint64_t nonce, ArrivedDialBack dial_back);
  /// What has come with `nonce`; null: nothing yet.
  const ArrivedDialBack* arrived(std::uint64_t nonce) const;
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::function<void()> on_arrival;
    std::optional<ArrivedDialBack> dial_back;
  };
  std::map<std::uint64_t, Waiting> waiting_;
};

}  // namespace pyrsia::autonat_v2

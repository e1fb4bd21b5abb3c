#pragma once

#include "base/ip_group.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"
#include "swarm/connections.hpp"
#include "swarm/notifier.hpp"
#include "swarm/shared.hpp"
#include "transport/transport.hpp"

#include <memory>
#include <vector>

namespace pyrsia::swarm {

/// Listens, and upgrades what comes in. Owned by the swarm.
/// At a limit a new connection is closed before a byte of it is read; a peer that says nothing
/// holds its place for upgrade_timeout at most.
class Listeners {
 public:
  /// All must outlive it.
  Listeners(Shared& shared, Connections& connections, Notifier& notifier);

  /// Returns the address as bound. Errors: `Errc::not_supported`, `Errc::closed` (stopping), those
  /// of Env::tcp_listen().
  Result<Multiaddr> listen(const Multiaddr& address);
  /// An unspecified IP is replaced by those of the interfaces.
  const std::vector<Multiaddr>& addresses() const { return addresses_; }
  /// Looks at the interfaces again, and tells observers if that changes addresses().
  void tick();
  Task<> stop();

 private:
  class Upgrading;

  Task<> accept_all(transport::Listener& listener);
  void accepted(std::unique_ptr<transport::Incoming> incoming);
  Task<> upgrade(std::unique_ptr<transport::Incoming> incoming);
  bool has_room_for(const Multiaddr& remote);
  bool is_within_rate();
  std::vector<Multiaddr> expand();
  void refresh();

  Shared& shared_;
  Connections& connections_;
  Notifier& notifier_;
  std::vector<std::unique_ptr<transport::Listener>> listeners_;
  std::vector<Multiaddr> addresses_;
  IpGroupCounts upgrading_by_ip_;
  std::size_t upgrading_ = 0;
  TimePoint second_began_{};  // For the rate of accepts.
  std::size_t accepted_in_second_ = 0;
  bool is_stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace pyrsia::swarm

#pragma once

#include "swarm/connection.hpp"

#include <pyrsia/error.hpp>

namespace pyrsia::swarm {

/// Hears what happens. Calls come one after another, never from inside a call to the swarm.
/// The observer may call the swarm.
class Observer {
 public:
  virtual ~Observer() = default;
  /// An address is being dialed, whatever comes of it.
  virtual void on_dialing(const Multiaddr&) {}
  virtual void on_connected(const ConnectionInfo&) {}
  virtual void on_disconnected(const ConnectionInfo&, Error) {}
  virtual void on_listen_addresses_changed() {}
  virtual void on_protocols_changed() {}
};

}  // namespace pyrsia::swarm

#pragma once

#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/connection.hpp"
#include "swarm/observer.hpp"

#include <deque>
#include <variant>
#include <vector>

namespace pyrsia::swarm {

/// Tells observers what happened, in order, from a task of its own: never from within the call
/// that made it happen. Owned by the swarm.
class Notifier {
 public:
  explicit Notifier(Env& env) : arrived_(env.executor()), tasks_(env) {}

  void start();
  /// Ends when all that happened so far was told.
  Task<> stop();

  void add(Observer& observer);
  void remove(Observer& observer);

  void dialing(const Multiaddr& address);
  void connected(const ConnectionInfo& connection);
  void disconnected(const ConnectionInfo& connection, Error reason);
  void listen_addresses_changed();
  void protocols_changed();

 private:
  struct Dialing {
    Multiaddr address;
  };
  struct Connected {
    ConnectionInfo connection;
  };
  struct Disconnected {
    ConnectionInfo connection;
    Error reason;
  };
  struct ListenAddressesChanged {};
  struct ProtocolsChanged {};
  using Notice =
      std::variant<Dialing, Connected, Disconnected, ListenAddressesChanged, ProtocolsChanged>;

  void push(Notice notice);
  Task<> deliver();
  void tell(const Notice& notice);
  static void tell(Observer& observer, const Notice& notice);

  std::vector<Observer*> observers_;
  std::deque<Notice> notices_;  // Emptied at each turn: as long as what one turn brings.
  bool is_ending_ = false;
  Event arrived_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::swarm

#include "swarm/notifier.hpp"

#include <algorithm>

namespace pyrsia::swarm {

void Notifier::start() {
  tasks_.spawn(deliver());
}

Task<> Notifier::stop() {
  is_ending_ = true;
  arrived_.notify();
  co_return co_await tasks_.join();
}

void Notifier::add(Observer& observer) {
  observers_.push_back(&observer);
}

void Notifier::remove(Observer& observer) {
  std::erase(observers_, &observer);
}

void Notifier::dialing(const Multiaddr& address) {
  push(Dialing{address});
}

void Notifier::connected(const ConnectionInfo& connection) {
  push(Connected{connection});
}

void Notifier::disconnected(const ConnectionInfo& connection, Error reason) {
  push(Disconnected{connection, reason});
}

void Notifier::listen_addresses_changed() {
  push(ListenAddressesChanged());
}

void Notifier::protocols_changed() {
  push(ProtocolsChanged());
}

void Notifier::push(Notice notice) {
  if (tasks_.size() == 0 && is_ending_) return;
  notices_.push_back(std::move(notice));
  arrived_.notify();
}

Task<> Notifier::deliver() {
  for (;;) {
    PYRSIA_CO_TRY(co_await arrived_.wait());
    while (!notices_.empty()) {
      const auto notice = std::move(notices_.front());
      notices_.pop_front();
      tell(notice);
    }
    if (is_ending_) co_return ok;
  }
}

void Notifier::tell(const Notice& notice) {
  // Observers may come and go while they are told.
  const auto all = observers_;
  for (auto* observer : all)
    if (std::ranges::find(observers_, observer) != observers_.end()) tell(*observer, notice);
}

void Notifier::tell(Observer& observer, const Notice& notice) {
  if (const auto* dialing = std::get_if<Dialing>(&notice)) {
    observer.on_dialing(dialing->address);
  } else if (const auto* connected = std::get_if<Connected>(&notice)) {
    observer.on_connected(connected->connection);
  } else if (const auto* disconnected = std::get_if<Disconnected>(&notice)) {
    observer.on_disconnected(disconnected->connection, disconnected->reason);
  } else if (std::holds_alternative<ListenAddressesChanged>(notice)) {
    observer.on_listen_addresses_changed();
  } else {
    observer.on_protocols_changed();
  }
}

}  // namespace pyrsia::swarm

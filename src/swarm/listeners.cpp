#include "swarm/listeners.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::swarm {
namespace {

/// Waits after an accept that failed: at first, and at most.
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);

IpAddress ip_of(const Multiaddr& address) {
  return address.ip().value_or(IpAddress());
}

}  // namespace

/// Counts a connection that is being upgraded.
class Listeners::Upgrading {
 public:
  Upgrading(Listeners& listeners, const IpAddress& ip) : listeners_(listeners), ip_(ip) {
    ++listeners_.upgrading_;
    listeners_.upgrading_by_ip_.add(ip_);
  }
  Upgrading(const Upgrading&) = delete;
  Upgrading& operator=(const Upgrading&) = delete;
  ~Upgrading() {
    --listeners_.upgrading_;
    listeners_.upgrading_by_ip_.remove(ip_);
  }

 private:
  Listeners& listeners_;
  IpAddress ip_;
};

Listeners::Listeners(Shared& shared, Connections& connections, Notifier& notifier)
    : shared_(shared), connections_(connections), notifier_(notifier), tasks_(shared.env) {}

Result<Multiaddr> Listeners::listen(const Multiaddr& address) {
  if (is_stopping_) return Errc::closed;
  for (const auto& transport : shared_.transports) {
    if (!transport->can_listen(address)) continue;
    PYRSIA_TRY(auto listener, transport->listen(address));
    auto bound = listener->address();
    auto& kept = *listeners_.emplace_back(std::move(listener));
    tasks_.spawn(accept_all(kept));
    refresh();
    return bound;
  }
  return Errc::not_supported;
}

Task<> Listeners::accept_all(transport::Listener& listener) {
  auto pause = kFirstPause;
  for (;;) {
    auto incoming = co_await listener.accept();
    if (incoming) {
      pause = kFirstPause;
      accepted(*std::move(incoming));
      continue;
    }
    const auto error = incoming.error();
    if (error == Errc::closed || error == Errc::cancelled) co_return error;
    // Without the pause, running out of file descriptors would keep us busy with nothing else.
    shared_.metrics.accept_errors.add();
    shared_.log.debug("accept failed", {{"error", error}});
    PYRSIA_CO_TRY(co_await shared_.env.sleep_for(pause));
    pause = std::min(pause * 2, kLongestPause);
  }
}

void Listeners::accepted(std::unique_ptr<transport::Incoming> incoming) {
  shared_.metrics.accepted.add();
  if (!is_within_rate() || !has_room_for(incoming->remote())) {
    shared_.metrics.connections_refused.add();
    return;
  }
  tasks_.spawn(upgrade(std::move(incoming)));
}

bool Listeners::is_within_rate() {
  const auto now = shared_.env.now();
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    accepted_in_second_ = 0;
  }
  return ++accepted_in_second_ <= shared_.config.max_accepts_per_second;
}

bool Listeners::has_room_for(const Multiaddr& remote) {
  const auto ip = ip_of(remote);
  return connections_.has_room(std::nullopt) && connections_.has_room_for(ip) &&
         upgrading_ < shared_.config.max_incoming_upgrades &&
         upgrading_by_ip_.of(ip) < shared_.config.max_incoming_upgrades_of_one_ip;
}

Task<> Listeners::upgrade(std::unique_ptr<transport::Incoming> incoming) {
  const auto remote = incoming->remote();
  const Upgrading upgrading(*this, ip_of(remote));
  auto connection =
      co_await with_timeout(shared_.env, shared_.config.upgrade_timeout, incoming->upgrade());
  Error error;
  const auto detail = incoming->detail();
  if (connection) {
    const auto adopted = connections_.adopt(*std::move(connection), Direction::inbound);
    if (adopted) co_return ok;
    error = adopted.error();
  } else {
    error = connection.error();
    shared_.metrics.upgrades_failed.add();
  }
  shared_.log.debug("incoming connection dropped",
                    {{"remote", remote.to_string()}, {"error", error}, {"detail", detail}});
  co_return error;
}

std::vector<Multiaddr> Listeners::expand() {
  std::vector<Multiaddr> addresses;
  std::optional<std::vector<InterfaceAddress>> interfaces;
  for (const auto& listener : listeners_) {
    const auto bound = listener->address();
    const auto ip = ip_of(bound);
    if (!ip.is_unspecified()) {
      addresses.push_back(bound);
      continue;
    }
    if (!interfaces) interfaces = shared_.env.interface_addresses();
    for (const auto& each : *interfaces) {
      if (each.ip.is_v6() != ip.is_v6()) continue;
      const auto address_class = shared_.classifier.classify(each.ip);
      // An IPv6 link-local address is nothing without its zone, which only we know.
      const bool is_zoned = address_class == AddressClass::link_local && each.ip.is_v6();
      if (address_class != AddressClass::unusable && !is_zoned)
        addresses.push_back(bound.with_ip(each.ip));
    }
  }
  std::ranges::sort(addresses);
  const auto doubled = std::ranges::unique(addresses);
  addresses.erase(doubled.begin(), doubled.end());
  return addresses;
}

void Listeners::refresh() {
  auto addresses = expand();
  if (addresses == addresses_) return;
  addresses_ = std::move(addresses);
  notifier_.listen_addresses_changed();
}

void Listeners::tick() {
  if (!listeners_.empty()) refresh();
}

Task<> Listeners::stop() {
  is_stopping_ = true;
  for (const auto& listener : listeners_) listener->close();
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  listeners_.clear();
  co_return ok;
}

}  // namespace pyrsia::swarm

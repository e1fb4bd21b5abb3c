#pragma once

#include "sim/bare_env.hpp"
#include "sim/node.hpp"
#include "sim/tcp.hpp"
#include "sim/udp.hpp"

#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::sim {

class Network;

/// A host of a simulated network: an Env for whatever shall run on it. Owned by its Network.
///
/// Unlike in a kernel, two listeners never share a port, [::] listens to IPv6 only, and a closed
/// connection leaves no TIME_WAIT.
class SimHost final : public BareEnv, public Node {
 public:
  SimHost(Network& network, const std::string& name, std::vector<IpAddress> addresses,
          SimNat* behind, Duration access_delay, std::mt19937_64 random);

  void random(std::span<std::uint8_t> out) override;
  WallTime wall_now() const override { return BareEnv::wall_now() + slept_ + wall_offset_; }
  Duration slept() const override { return slept_; }
  Result<std::unique_ptr<TcpListener>> tcp_listen(const Endpoint& local,
                                                  const TcpListenOptions& options) override;
  Task<std::unique_ptr<TcpSocket>> tcp_connect(Endpoint remote, TcpConnectOptions options) override;
  using Env::udp_bind;
  Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local,
                                              const UdpOptions& options) override;
  std::vector<InterfaceAddress> interface_addresses() override;
  std::vector<Gateway> default_gateways() override;
  Result<std::unique_ptr<NetworkWatcher>> watch_network() override;
  Task<std::vector<IpAddress>> resolve(std::string name, IpFamily family) override;
  Task<std::vector<std::string>> resolve_txt(std::string name) override;
  Task<HttpResponse> http_get(HttpRequest request, std::string* detail) override;
  Task<HttpResponse> http_post(HttpRequest request, std::string* detail) override;

  /// The power fails: all sockets are closed (pending calls end with `Errc::closed`) and no new
  /// one can be opened until restart(). Peers learn nothing.
  void crash();
  /// The same for a program that is killed: the kernel resets its connections.
  void kill();
  void restart() { is_up_ = true; }
  bool is_up() const { return is_up_; }
  /// The interface has other addresses now. Connections from old ones fall silent. Watchers are
  /// told.
  void set_addresses(const std::vector<std::string>& addresses);
  /// What its default routes lead to; at first nowhere. Only default_gateways() tells it.
  /// `hardware_address`: of all of them; empty if nobody has spoken to them yet.
  void set_gateways(const std::vector<std::string>& addresses,
                    const std::string& hardware_address = "02:00:00:00:00:01");
  /// Resets all TCP connections with `ip` at both ends. Returns how many there were.
  std::size_t break_connections(const std::string& ip);
  /// What routers advertise. Watchers are told.
  void set_nat64(std::vector<AdvertisedNat64> prefixes);
  /// Watchers are told that something has changed, such as a route.
  void announce_network_change();
  /// False: watchers end with `Errc::network_failed`, and there are no new ones.
  void set_watchable(bool is_watchable);
  std::size_t connection_count() const { return tcp_.connection_count(); }
  /// It has just slept so long. Where others are to have noticed, let them sleep as well: virtual
  /// time is one for all.
  void sleep(Duration duration) { slept_ += duration; }
  /// The calendar jumps.
  void set_wall_offset(Duration offset) { wall_offset_ = offset; }

  // For the stacks.
  Network& network() { return network_; }
  void receive(Packet packet);
  /// One of its interfaces has `ip`.
  bool has_address(const IpAddress& ip) const;
  /// It may bind to `ip`: has_address(), or loopback.
  bool is_own(const IpAddress& ip) const { return ip.is_loopback() || has_address(ip); }
  /// The address that packets to `remote` leave from. Errors: `Errc::unreachable`.
  Result<IpAddress> source_for(const IpAddress& remote) const;
  /// A free ephemeral port. Errors: `Errc::address_in_use`: none is.
  Result<std::uint16_t> choose_port(const std::function<bool(std::uint16_t)>& is_free);
  std::string describe() const;

 private:
  Network& network_;
  std::mt19937_64 random_;
  bool is_up_ = true;
  Duration wall_offset_{0};
  std::vector<Gateway> gateways_;
  std::vector<AdvertisedNat64> nat64_;
  class Watcher;
  std::set<Watcher*> watchers_;
  TcpStack tcp_;
  UdpStack udp_;
  bool is_watchable_ = true;
  Duration slept_{0};
};

}  // namespace pyrsia::sim

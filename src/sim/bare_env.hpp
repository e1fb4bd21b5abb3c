#pragma once

#include "sim/world.hpp"

namespace pyrsia::sim {

/// An Env with virtual time and no network: every network call fails.
class BareEnv : public Env {
 public:
  explicit BareEnv(World& world) : world_(world) {}

  asio::any_io_executor executor() override { return world_.executor(); }
  TimePoint now() const override { return world_.now(); }
  WallTime wall_now() const override;
  Duration slept() const override { return Duration(0); }
  TimerQueue& timers() override { return world_.timers(); }
  void random(std::span<std::uint8_t> out) override;

  Result<std::unique_ptr<TcpListener>> tcp_listen(const Endpoint& local,
                                                  const TcpListenOptions& options) override;
  Task<std::unique_ptr<TcpSocket>> tcp_connect(Endpoint remote, TcpConnectOptions options) override;
  using Env::udp_bind;
  Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local,
                                              const UdpOptions& options) override;
  std::vector<InterfaceAddress> interface_addresses() override { return {}; }
  std::vector<Gateway> default_gateways() override { return {}; }
  Result<std::unique_ptr<NetworkWatcher>> watch_network() override { return Errc::network_failed; }
  Task<std::vector<IpAddress>> resolve(std::string name, IpFamily family) override;
  Task<std::vector<std::string>> resolve_txt(std::string name) override;
  Task<HttpResponse> http_get(HttpRequest request, std::string* detail) override;
  Task<HttpResponse> http_post(HttpRequest request, std::string* detail) override;
  Task<> run_blocking(std::function<void()> work) override;
  void probe(std::string_view name) override { world_.probe(name); }

 protected:
  World& world() { return world_; }

 private:
  World& world_;
};

}  // namespace pyrsia::sim

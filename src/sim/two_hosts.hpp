/// What tests of the network begin with.
#pragma once

#include "sim/host.hpp"
#include "sim/network.hpp"

#include <memory>
#include <string>

namespace pyrsia::sim {

/// A path with this delay and nothing else.
inline PathConfig delay_of(Duration one_way_delay) {
  PathConfig path;
  path.one_way_delay = one_way_delay;
  return path;
}

inline Endpoint at(const std::string& ip, std::uint16_t port) {
  return {IpAddress::parse(ip).value(), port};
}

/// Connects with no special wish.
inline Task<std::unique_ptr<TcpSocket>> dial(Env& env, Endpoint remote) {
  const TcpConnectOptions options;
  co_return co_await env.tcp_connect(remote, options);
}

inline Task<std::unique_ptr<TcpSocket>> dial_from(Env& env, Endpoint local, Endpoint remote) {
  TcpConnectOptions options;
  options.local = local;
  co_return co_await env.tcp_connect(remote, options);
}

/// Two hosts on the internet, 50 ms apart.
struct TwoHosts {
  explicit TwoHosts(std::uint64_t seed = 1) : world(seed) {
    net.set_default_path(delay_of(std::chrono::milliseconds(50)));
  }

  World world;
  Network net{world};
  SimHost& a = net.add_host({"a", {"1.2.3.4", "2001:db8::1"}});
  SimHost& b = net.add_host({"b", {"5.6.7.8", "2001:db8::2"}});
  std::unique_ptr<TcpListener> listener =
      b.tcp_listen(at("5.6.7.8", 80), TcpListenOptions{}).value();
};

}  // namespace pyrsia::sim

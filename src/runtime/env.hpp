#pragma once

#include "runtime/net.hpp"
#include "runtime/timer.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/task.hpp>
#include <pyrsia/time.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia {

/// Everything a component may ask of the outside world. One implementation talks to the kernel
/// (RealEnv), one is a host of a simulated network (sim::SimHost); nothing else reads a clock,
/// sleeps, draws a random number or opens a socket. An Env belongs to one thread.
class Env {
 public:
  virtual ~Env() = default;

  virtual asio::any_io_executor executor() = 0;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
  virtual TimerQueue& timers() = 0;
  /// Fills `out` with random bytes: from the kernel, or repeatable in a simulation.
  virtual void random(std::span<std::uint8_t> out) = 0;

  /// Errors: `Errc::address_in_use`, `Errc::permission_denied`, `Errc::invalid_argument` (not an
  /// address of this machine), `Errc::limit_reached` (file descriptors), `Errc::network_failed`.
  virtual Result<std::unique_ptr<TcpListener>> tcp_listen(const Endpoint& local,
                                                          const TcpListenOptions& options) = 0;
  /// Has no timeout of its own but the kernel's. Errors: `Errc::refused`, `Errc::unreachable`,
  /// `Errc::timed_out`, `Errc::address_in_use` (options.local, towards this remote),
  /// `Errc::limit_reached`, `Errc::network_failed`.
  virtual Task<std::unique_ptr<TcpSocket>> tcp_connect(Endpoint remote,
                                                       TcpConnectOptions options) = 0;
  /// Errors: as tcp_listen().
  virtual Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local,
                                                      const UdpOptions& options) = 0;
  Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local) { return udp_bind(local, {}); }
  /// The addresses of interfaces that are up, loopback included.
  virtual std::vector<InterfaceAddress> interface_addresses() = 0;
  /// The routers of the default routes, of both families, preferred ones first; at most 16.
  virtual std::vector<Gateway> default_gateways() = 0;
  /// Errors: `Errc::limit_reached`, `Errc::permission_denied`, `Errc::network_failed`.
  virtual Result<std::unique_ptr<NetworkWatcher>> watch_network() = 0;

  /// A and AAAA records, at most 32; literals and the hosts file are understood.
  /// Errors: `Errc::not_found`, `Errc::timed_out`, `Errc::unavailable` (no server answers).
  virtual Task<std::vector<IpAddress>> resolve(std::string name, IpFamily family) = 0;
  /// TXT records, each joined to one string, at most 32. Errors: as resolve().
  virtual Task<std::vector<std::string>> resolve_txt(std::string name) = 0;
  /// One GET; redirects are followed. Any HTTP status is a success. `detail`, if given, gets the
  /// failure in words. Errors: `Errc::invalid_argument` (URL), `Errc::not_found` (name),
  /// `Errc::refused`, `Errc::unreachable`, `Errc::timed_out`, `Errc::too_large` (body),
  /// `Errc::limit_reached` (redirects), `Errc::closed`, `Errc::network_failed` (others).
  virtual Task<HttpResponse> http_get(HttpRequest request, std::string* detail) = 0;
  /// One POST of `request.body`; a redirect is an answer like any other. Otherwise, and in its
  /// errors, as http_get().
  virtual Task<HttpResponse> http_post(HttpRequest request, std::string* detail) = 0;
  /// Runs `work` off this thread and ends when it has ended. For files and heavy computing.
  virtual Task<> run_blocking(std::function<void()> work) = 0;
  /// Marks a rare path: a simulation counts how often `name` was passed, so that a test of many
  /// seeds can require that it was seen. Nothing happens in a real program.
  virtual void probe(std::string_view) {}
  /// How long this machine was asleep since it was started. now() stands still meanwhile; the
  /// clocks of others, such as those of leases, do not.
  virtual Duration slept() const = 0;

  /// Ends after `duration`, at the earliest at the next turn. Errors: `Errc::cancelled`.
  Task<> sleep_for(Duration duration);
  /// A random number below `bound`, which is not 0.
  std::uint64_t random_below(std::uint64_t bound);
};

}  // namespace pyrsia

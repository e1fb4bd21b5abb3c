#pragma once

#include "runtime/default_gateways.hpp"
#include "runtime/dns.hpp"
#include "runtime/env.hpp"
#include "runtime/http_client.hpp"
#include "runtime/reactor.hpp"
#include "runtime/real_env.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>
#include <optional>

namespace pyrsia {

/// The Env of a real program. Asio's io_context is its run queue; it waits for the kernel in a
/// Reactor of ours, which spares Asio's epoll_ctl and its buffers at each wait.
class KernelEnv final : public Env {
 public:
  explicit KernelEnv(const RealEnvConfig& config);
  ~KernelEnv() override;

  asio::any_io_executor executor() override { return io_.get_executor(); }
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override { return std::chrono::system_clock::now(); }
  Duration slept() const override;
  TimerQueue& timers() override { return timers_; }
  void random(std::span<std::uint8_t> out) override;

  Result<std::unique_ptr<TcpListener>> tcp_listen(const Endpoint& local,
                                                  const TcpListenOptions& options) override;
  Task<std::unique_ptr<TcpSocket>> tcp_connect(Endpoint remote, TcpConnectOptions options) override;
  using Env::udp_bind;
  Result<std::unique_ptr<UdpSocket>> udp_bind(const Endpoint& local,
                                              const UdpOptions& options) override;
  std::vector<InterfaceAddress> interface_addresses() override;
  std::vector<Gateway> default_gateways() override { return read_default_gateways(); }
  Result<std::unique_ptr<NetworkWatcher>> watch_network() override;
  Task<std::vector<IpAddress>> resolve(std::string name, IpFamily family) override;
  Task<std::vector<std::string>> resolve_txt(std::string name) override;
  Task<HttpResponse> http_get(HttpRequest request, std::string* detail) override;
  Task<HttpResponse> http_post(HttpRequest request, std::string* detail) override;
  Task<> run_blocking(std::function<void()> work) override;

  Reactor& reactor() { return reactor_; }
  /// Does a bounded number of timers and run-queue entries. True if there may be more.
  bool work();
  /// Takes what the kernel has; waits for it unless `is_busy`, at most until the next timer.
  void wait(bool is_busy);

 private:
  // Destroyed from last to first: what is queued may own sockets, which unregister themselves.
  RealEnvConfig config_;
  Reactor reactor_;
  TimerQueue timers_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::array<std::uint8_t, 256> random_{};  ///< Drawn ahead; used from the front.
  std::size_t random_used_ = random_.size();
  Dns dns_;
  HttpClient http_;
  std::optional<asio::thread_pool> blocking_;  ///< Made when first needed.
};

}  // namespace pyrsia

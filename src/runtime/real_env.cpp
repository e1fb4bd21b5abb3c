#include "runtime/real_env.hpp"

#include "runtime/kernel_env.hpp"
#include "runtime/network_watcher.hpp"
#include "runtime/signals.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/tcp_socket.hpp"
#include "runtime/timeout.hpp"
#include "runtime/udp_socket.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace pyrsia {
namespace {

/// Of one kind in one turn, so that neither timers nor tasks starve the sockets.
constexpr int kMaxTimersPerTurn = 1024;
constexpr int kMaxTasksPerTurn = 1024;
/// Files and key generation; more at once only wait.
constexpr std::size_t kBlockingThreads = 4;

void draw(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const auto drawn = ::getrandom(out.data(), out.size(), 0);
    if (drawn < 0 && errno != EINTR) std::abort();  // No safe way to go on.
    if (drawn > 0) out = out.subspan(static_cast<std::size_t>(drawn));
  }
}

unsigned prefix_bits_of(const sockaddr* mask) {
  if (!mask) return 0;
  unsigned bits = 0;
  const auto ip = ip_of(*mask);  // Named: gcc 12 ends a temporary's life before the loop.
  for (const auto byte : ip.bytes()) bits += static_cast<unsigned>(std::popcount(byte));
  return bits;
}

}  // namespace

KernelEnv::KernelEnv(const RealEnvConfig& config)
    : config_(config),
      dns_(*this, reactor_, config.dns_servers, config.dns_timeout),
      http_(*this, reactor_, config.user_agent) {}

KernelEnv::~KernelEnv() {
  if (blocking_) blocking_->join();
}

Duration KernelEnv::slept() const {
  const auto read = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);  // Cannot fail for these two.
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
  };
  // In this order: who is held up between the two gets too little, never a sleep that was none.
  const auto with_sleep = read(CLOCK_BOOTTIME);
  return std::max(with_sleep - read(CLOCK_MONOTONIC), Duration(0));
}

void KernelEnv::random(std::span<std::uint8_t> out) {
  if (out.size() > random_.size() / 4) return draw(out);
  if (random_.size() - random_used_ < out.size()) {
    draw(random_);
    random_used_ = 0;
  }
  const auto taken = std::span(random_).subspan(random_used_, out.size());
  std::copy(taken.begin(), taken.end(), out.begin());
  std::fill(taken.begin(), taken.end(), std::uint8_t(0));  // Drawn once, known once.
  random_used_ += out.size();
}

Result<std::unique_ptr<TcpListener>> KernelEnv::tcp_listen(const Endpoint& local,
                                                           const TcpListenOptions& options) {
  return listen_tcp(reactor_, executor(), local, options);
}

Task<std::unique_ptr<TcpSocket>> KernelEnv::tcp_connect(Endpoint remote,
                                                        TcpConnectOptions options) {
  return connect_tcp(reactor_, executor(), remote, std::move(options));
}

Result<std::unique_ptr<UdpSocket>> KernelEnv::udp_bind(const Endpoint& local,
                                                       const UdpOptions& options) {
  return bind_udp(reactor_, executor(), local, options);
}

std::vector<InterfaceAddress> KernelEnv::interface_addresses() {
  std::vector<InterfaceAddress> found;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const auto* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const auto family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    found.push_back({entry->ifa_name, ip_of(*entry->ifa_addr), prefix_bits_of(entry->ifa_netmask)});
  }
  ::freeifaddrs(list);
  return found;
}

Result<std::unique_ptr<NetworkWatcher>> KernelEnv::watch_network() {
  return pyrsia::watch_network(reactor_, *this);
}

Task<std::vector<IpAddress>> KernelEnv::resolve(std::string name, IpFamily family) {
  return with_timeout(*this, config_.dns_timeout, dns_.addresses(std::move(name), family));
}

Task<std::vector<std::string>> KernelEnv::resolve_txt(std::string name) {
  return with_timeout(*this, config_.dns_timeout, dns_.texts(std::move(name)));
}

Task<HttpResponse> KernelEnv::http_get(HttpRequest request, std::string* detail) {
  return http_.get(std::move(request), detail);
}

Task<HttpResponse> KernelEnv::http_post(HttpRequest request, std::string* detail) {
  return http_.post(std::move(request), detail);
}

Task<> KernelEnv::run_blocking(std::function<void()> work) {
  if (!blocking_) blocking_.emplace(kBlockingThreads);
  const auto initiate = [this](auto handler, std::function<void()> job) {
    // The handler belongs to this thread: the other one only carries it.
    asio::any_completion_handler<void()> done(std::move(handler));
    auto run = [this, job = std::move(job), done = std::move(done)]() mutable {
      job();
      job = nullptr;
      asio::post(io_, std::move(done));
      reactor_.wake();
    };
    asio::post(*blocking_, std::move(run));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      initiate, asio::use_awaitable, std::move(work));
  co_return ok;
}

bool KernelEnv::work() {
  for (int i = 0; i < kMaxTimersPerTurn && timers_.expire_one(now()); ++i) {
  }
  int tasks = 0;
  while (tasks < kMaxTasksPerTurn && io_.poll_one() > 0) ++tasks;
  return tasks == kMaxTasksPerTurn;
}

void KernelEnv::wait(bool is_busy) {
  std::optional<Duration> limit;
  if (is_busy) {
    limit = Duration(0);
  } else if (const auto next = timers_.next()) {
    limit = std::max(*next - now(), Duration(0));
  }
  reactor_.wait(limit);
}

std::unique_ptr<Env> make_real_env(const RealEnvConfig& config) {
  return std::make_unique<KernelEnv>(config);
}

namespace {

asio::awaitable<void> store(Task<> task, std::optional<Result<>>& end) {
  end.emplace(co_await std::move(task));
}

}  // namespace

Result<> run(Env& env, Task<> main, std::function<void(int signal)> on_signal) {
  auto& real = dynamic_cast<KernelEnv&>(env);
  std::signal(SIGPIPE, SIG_IGN);  // A peer that left is an error of one write, not our end.
  std::optional<Signals> signals;
  if (on_signal) signals.emplace(real.reactor(), std::move(on_signal));
  std::optional<Result<>> end;
  const auto on_end = [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  };
  asio::co_spawn(env.executor(), store(std::move(main), end), on_end);
  for (;;) {
    const bool is_busy = real.work();
    if (end) return *end;
    real.wait(is_busy);
    if (signals) signals->deliver();
  }
}

}  // namespace pyrsia

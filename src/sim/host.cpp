#include "sim/host.hpp"

#include "runtime/event.hpp"
#include "sim/http.hpp"
#include "sim/network.hpp"

#include <algorithm>

namespace pyrsia::sim {
namespace {

// Linux's range of ephemeral ports.
constexpr std::uint32_t kFirstEphemeralPort = 32768;
constexpr std::uint32_t kEphemeralPortCount = 28232;

const IpAddress kLoopbackV6 = IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

}  // namespace

class SimHost::Watcher final : public NetworkWatcher {
 public:
  explicit Watcher(SimHost& host) : host_(host), event_(host.executor()) {
    host_.watchers_.insert(this);
  }
  ~Watcher() override { host_.watchers_.erase(this); }

  Task<> changed() override {
    if (host_.is_watchable_) PYRSIA_CO_TRY(co_await event_.wait());
    if (!host_.is_watchable_) co_return Errc::network_failed;
    co_return ok;
  }
  std::vector<AdvertisedNat64> nat64_prefixes() override { return host_.nat64_; }
  void notify() { event_.notify(); }

 private:
  SimHost& host_;
  Event event_;
};

SimHost::SimHost(Network& network, const std::string& name, std::vector<IpAddress> addresses,
                 SimNat* behind, Duration access_delay, std::mt19937_64 random)
    : BareEnv(network.world()),
      Node(name, std::move(addresses), behind, access_delay),
      network_(network),
      random_(random),
      tcp_(*this),
      udp_(*this) {}

void SimHost::random(std::span<std::uint8_t> out) {
  for (auto& byte : out) byte = static_cast<std::uint8_t>(random_() >> 56);
}

Result<std::unique_ptr<TcpListener>> SimHost::tcp_listen(const Endpoint& local,
                                                         const TcpListenOptions& options) {
  return tcp_.listen(local, options);
}

Task<std::unique_ptr<TcpSocket>> SimHost::tcp_connect(Endpoint remote, TcpConnectOptions options) {
  return tcp_.connect(remote, options);
}

Result<std::unique_ptr<UdpSocket>> SimHost::udp_bind(const Endpoint& local,
                                                     const UdpOptions& options) {
  return udp_.bind(local, options);
}

std::vector<InterfaceAddress> SimHost::interface_addresses() {
  if (!is_up_) return {};
  std::vector<InterfaceAddress> all{{"lo", IpAddress::v4_loopback(), 8}, {"lo", kLoopbackV6, 128}};
  for (const auto& ip : addresses_) all.push_back({"eth0", ip, ip.is_v6() ? 64U : 24U});
  return all;
}

std::vector<Gateway> SimHost::default_gateways() {
  return is_up_ ? gateways_ : std::vector<Gateway>();
}

void SimHost::set_gateways(const std::vector<std::string>& addresses,
                           const std::string& hardware_address) {
  gateways_.clear();
  for (const auto& text : addresses)
    gateways_.push_back({"eth0", IpAddress::parse(text).value(), hardware_address});
}

Task<std::vector<IpAddress>> SimHost::resolve(std::string name, IpFamily family) {
  if (!is_up_ || network_.operation_fails()) co_return Errc::unavailable;
  co_return co_await network_.dns().resolve(*this, std::move(name), family);
}

Task<std::vector<std::string>> SimHost::resolve_txt(std::string name) {
  if (!is_up_ || network_.operation_fails()) co_return Errc::unavailable;
  co_return co_await network_.dns().resolve_txt(*this, std::move(name));
}

Task<HttpResponse> SimHost::http_get(HttpRequest request, std::string* detail) {
  return sim::http_get(*this, std::move(request), detail);
}

Task<HttpResponse> SimHost::http_post(HttpRequest request, std::string* detail) {
  return sim::http_post(*this, std::move(request), detail);
}

void SimHost::crash() {
  is_up_ = false;
  tcp_.close_all(false);
  udp_.close_all();
}

void SimHost::kill() {
  tcp_.close_all(true);
  udp_.close_all();
  is_up_ = false;
}

void SimHost::set_addresses(const std::vector<std::string>& addresses) {
  const auto before = std::exchange(addresses_, {});
  for (const auto& text : addresses) addresses_.push_back(IpAddress::parse(text).value());
  network_.readdress(*this, before);
  announce_network_change();
}

void SimHost::set_nat64(std::vector<AdvertisedNat64> prefixes) {
  nat64_ = std::move(prefixes);
  announce_network_change();
}

void SimHost::announce_network_change() {
  for (auto* watcher : watchers_) watcher->notify();
}

void SimHost::set_watchable(bool is_watchable) {
  is_watchable_ = is_watchable;
  announce_network_change();
}

Result<std::unique_ptr<NetworkWatcher>> SimHost::watch_network() {
  if (!is_watchable_) return Errc::network_failed;
  return std::make_unique<Watcher>(*this);
}

std::size_t SimHost::break_connections(const std::string& ip) {
  return tcp_.break_connections(IpAddress::parse(ip).value());
}

void SimHost::receive(Packet packet) {
  if (packet.protocol == Protocol::tcp) {
    tcp_.receive(std::move(packet));
  } else {
    udp_.receive(std::move(packet));
  }
}

bool SimHost::has_address(const IpAddress& ip) const {
  return std::ranges::find(addresses_, ip) != addresses_.end();
}

Result<IpAddress> SimHost::source_for(const IpAddress& remote) const {
  if (remote.is_unspecified()) return Errc::unreachable;
  if (is_own(remote)) return remote;
  const auto same_family = [&](const IpAddress& ip) { return ip.is_v6() == remote.is_v6(); };
  const auto found = std::ranges::find_if(addresses_, same_family);
  if (found == addresses_.end()) return Errc::unreachable;
  return *found;
}

Result<std::uint16_t> SimHost::choose_port(const std::function<bool(std::uint16_t)>& is_free) {
  const auto first = std::uint32_t(random_() % kEphemeralPortCount);
  for (std::uint32_t i = 0; i < kEphemeralPortCount; ++i) {
    const auto port = std::uint16_t(kFirstEphemeralPort + (first + i) % kEphemeralPortCount);
    if (is_free(port)) return port;
  }
  return Errc::address_in_use;
}

std::string SimHost::describe() const {
  const auto waits = tcp_.describe() + udp_.describe();
  return waits.empty() ? waits : name_ + ":\n" + waits;
}

}  // namespace pyrsia::sim

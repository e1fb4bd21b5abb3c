#include "sim_node.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::test {

using namespace std::chrono_literals;

SimNode::SimNode(sim::SimHost& machine, std::uint8_t number, Config config)
    : SimNode(machine, number, std::move(config), bootstrap::DirectoryConfig()) {}

SimNode::SimNode(sim::SimHost& machine, std::uint8_t number, Config config,
                 bootstrap::DirectoryConfig directory)
    : machine_(machine),
      host_(*Host::make(machine, key_of(number), std::move(config))),
      directory_(machine, std::move(directory), classifier_, *this, Logger("directory", log_),
                 directory_metrics_),
      status_service_(directory_, *this, [this] { return host_->counters(); }),
      server_(
          machine, {}, [this](const http::Request& request) { return router_.handle(request); },
          http_metrics_),
      tasks_(machine) {
  status_service_.mount(router_);
}

SimNode::~SimNode() = default;

Task<> SimNode::start() {
  auto started = co_await start_all();
  if (!started) PYRSIA_CO_TRY(co_await stop());
  co_return started;
}

Task<> SimNode::start_all() {
  PYRSIA_CO_TRY(listen_http());
  directory_.start();
  PYRSIA_CO_TRY(co_await host_->start(nullptr));
  tasks_.spawn(read_events());
  co_return ok;
}

Result<> SimNode::listen_http() {
  PYRSIA_TRY(server_.listen({IpAddress::v4_any(), kHttpPort}));
  PYRSIA_TRY(server_.listen({IpAddress::v6_any(), kHttpPort}));
  return ok;
}

Task<> SimNode::stop() {
  PYRSIA_CO_TRY(co_await host_->stop());
  PYRSIA_CO_TRY(co_await server_.stop());
  PYRSIA_CO_TRY(co_await directory_.stop());
  tasks_.cancel();
  co_return co_await tasks_.join();
}

Task<> SimNode::read_events() {
  for (;;) {
    PYRSIA_CO_TRY(auto event, co_await host_->next_event());
    events_.push_back(std::move(event));
  }
}

Task<> SimNode::wait_for(Reachability status, Duration limit) {
  co_return co_await with_timeout(machine_, limit, poll_status(status));
}

Task<> SimNode::wait_until_connected(Duration limit) {
  co_return co_await with_timeout(machine_, limit, poll_connected());
}

Task<> SimNode::poll_status(Reachability status) {
  while (host_->nat().status != status) PYRSIA_CO_TRY(co_await machine_.sleep_for(10ms));
  co_return ok;
}

Task<> SimNode::poll_connected() {
  while (!host_->nat().is_connected) PYRSIA_CO_TRY(co_await machine_.sleep_for(10ms));
  co_return ok;
}

std::size_t SimNode::status_changes() const {
  return std::size_t(std::ranges::count_if(events_, [](const HostEvent& event) {
    return std::holds_alternative<StatusChanged>(event);
  }));
}

std::vector<PeerId> SimNode::connected_peers() const {
  std::vector<PeerId> out;
  for (const auto& info : host_->peers()) out.push_back(info.peer);
  return out;
}

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(number);
  seed[0] = 1;
  return KeyPair::from_seed(seed);
}

Config node_config(const std::string& bootstrap_url) {
  Config config;
  config.listen = {Multiaddr::tcp({IpAddress::v4_any(), SimNode::kPort})};
  config.bootstrap_urls = {bootstrap_url};
  return config;
}

Config boot_config() {
  Config config;
  config.listen = {Multiaddr::tcp({IpAddress::v4_any(), SimNode::kPort})};
  config.is_listen_only = true;
  return config;
}

std::vector<Multiaddr> listen_by_both() {
  const Endpoint all{IpAddress::v4_any(), SimNode::kPort};
  return {Multiaddr::tcp(all), Multiaddr::quic_v1(all)};
}

}  // namespace pyrsia::test

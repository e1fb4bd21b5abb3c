#pragma once

#include "bootstrap/directory/directory.hpp"
#include "bootstrap/directory/status_service.hpp"
#include "http/router.hpp"
#include "http/server.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <pyrsia/host.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::test {

/// A node or boot server as `pyrsia node` and `pyrsia boot` make it, on a simulated host: the
/// library's Host, and the HTTP side over it.
class SimNode final : public bootstrap::LocalNode {
 public:
  static constexpr std::uint16_t kPort = 44000;
  static constexpr std::uint16_t kHttpPort = 7888;

  /// `number` makes the key; see key_of().
  SimNode(sim::SimHost& machine, std::uint8_t number, Config config);
  /// A boot server that has other members.
  SimNode(sim::SimHost& machine, std::uint8_t number, Config config,
          bootstrap::DirectoryConfig directory);
  ~SimNode() override;

  /// Errors: those of Host::start().
  Task<> start();
  Task<> stop();
  /// Ends when the verdict is `status`. Errors: `Errc::timed_out`.
  Task<> wait_for(Reachability status, Duration limit);
  /// Ends when it is fully connected. Errors: `Errc::timed_out`.
  Task<> wait_until_connected(Duration limit);

  sim::SimHost& machine() { return machine_; }
  const bootstrap::Directory& directory() const { return directory_; }
  Host& host() { return *host_; }
  /// The events so far, in order.
  const std::vector<HostEvent>& events() const { return events_; }
  std::size_t status_changes() const;

  PeerId peer_id() const override { return host_->peer_id(); }
  std::vector<Multiaddr> listen_addresses() const override { return host_->listen_addresses(); }
  std::vector<Multiaddr> advertised_addresses() const override {
    return host_->advertised_addresses();
  }
  std::vector<PeerId> connected_peers() const override;

 private:
  Task<> start_all();
  Result<> listen_http();
  Task<> read_events();
  Task<> poll_status(Reachability status);
  Task<> poll_connected();

  sim::SimHost& machine_;
  AddressClassifier classifier_;
  LogSink log_;
  std::unique_ptr<Host> host_;
  bootstrap::DirectoryMetrics directory_metrics_;
  bootstrap::Directory directory_;
  bootstrap::StatusService status_service_;
  http::Metrics http_metrics_;
  http::Router router_;
  http::Server server_;
  std::vector<HostEvent> events_;
  TaskGroup tasks_;
};

/// The key of that number.
KeyPair key_of(std::uint8_t number);
/// What every node is told unless a test says otherwise: port 44000 on IPv4.
Config node_config(const std::string& bootstrap_url);
/// A boot server: connects to nobody.
Config boot_config();
/// TCP and QUIC, on SimNode::kPort of every IPv4 address.
std::vector<Multiaddr> listen_by_both();

}  // namespace pyrsia::test

#pragma once

#include "host/network_memory.hpp"
#include "host/reachability_input.hpp"
#include "nat/portmap/mapper.hpp"

#include <pyrsia/config.hpp>
#include <pyrsia/host_event.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/port_mapping.hpp>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::host {

/// Has the ports that we listen on opened by routers, and tells which addresses that gives: an
/// address counts once a dial-back has reached it, like any other candidate. Remembers what worked
/// in which network. Owned by the host; classifier and memory must outlive it.
class MappedPorts final : private portmap::Observer {
 public:
  struct Callbacks {
    /// Is told of each port that routers have opened, or closed.
    std::function<void(const MappingChanged& change)> on_change;
    /// The same, and what dial-backs showed, for whoever watches.
    std::function<void(const PortMappingChanged& event)> on_event;
  };

  MappedPorts(Env& env, const Config& config, const AddressClassifier& classifier,
              NetworkMemory& memory, Callbacks callbacks, Logger log);
  ~MappedPorts() override;

  bool is_on() const { return is_on_; }
  void start();
  /// Takes the mappings away, within 0.7 s. Errors: none.
  Task<> stop();

  /// What we listen on now.
  void set_listeners(const std::vector<Multiaddr>& addresses);
  /// Looks at once whether routers or addresses are others.
  void network_changed();
  /// What dial-backs have shown of all addresses, and where peers see us.
  void judge(const std::vector<AddressVerdict>& verdicts, std::vector<IpAddress> observed);

  PortMappingReport report() const;
  const portmap::Metrics& metrics() const { return metrics_; }

 private:
  void on_mapping(const portmap::MappingEvent& event) override;
  portmap::Recalled recall(const portmap::NetworkId& network) const;
  void remember(const portmap::NetworkId& network, const portmap::Recalled& recalled);

  Env& env_;
  bool is_on_;
  NetworkMemory& memory_;
  Callbacks callbacks_;
  Logger log_;
  portmap::Metrics metrics_;
  std::set<IpAddress> listen_ips_;
  std::optional<portmap::Mapper> mapper_;
};

}  // namespace pyrsia::host

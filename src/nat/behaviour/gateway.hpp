/// What the router in front of us does about ports, found out without a running node.
#pragma once

#include "multi/address_class.hpp"
#include "nat/behaviour/report.hpp"
#include "nat/portmap/router.hpp"

#include <pyrsia/port_mapping.hpp>

#include <memory>
#include <vector>

namespace pyrsia::nat {

struct GatewayConfig {
  Duration budget = std::chrono::milliseconds(900);       ///< For the router to answer at all.
  Duration map_timeout = std::chrono::milliseconds(500);  ///< For one mapping in one protocol.
  /// For all of it: what is not known then stays unknown.
  Duration limit = std::chrono::milliseconds(1500);
  Duration hop_budget = std::chrono::milliseconds(500);  ///< For a second router to answer.
  Duration lifetime = std::chrono::seconds(60);          ///< Of the mapping that is tried.
};

/// Asks the router of the default route in all protocols, has it open a port that nobody uses, and
/// takes that away again. Where its outside is not public, routers beyond are looked for. One run.
/// The owner calls stop(); the classifier must outlive it.
class GatewayProbe {
 public:
  GatewayProbe(Env& env, const GatewayConfig& config, const AddressClassifier& classifier);
  GatewayProbe(const GatewayProbe&) = delete;
  GatewayProbe& operator=(const GatewayProbe&) = delete;

  /// Takes `limit` at most: what is answered later stays unknown, and a mapping that was not taken
  /// away ends by itself. Errors: `Errc::cancelled`.
  Task<GatewayFacts> run();
  /// Errors: none.
  Task<> stop();

 private:
  Task<> look();
  void take_outside(const IpAddress& external);
  void take_attempts(const std::vector<portmap::Attempt>& attempts);
  Task<> try_mapping(const portmap::Route& route);
  void take_grant(const portmap::Grant& grant);
  Task<> look_for_second(const portmap::Route& route);
  portmap::RouterConfig router_config(Duration budget) const;

  Env& env_;
  GatewayConfig config_;
  const AddressClassifier& classifier_;
  portmap::Metrics metrics_;
  portmap::Context context_;
  GatewayFacts facts_;
  std::unique_ptr<portmap::Router> router_;
  std::vector<std::unique_ptr<portmap::Router>> beyond_;
};

/// What a running node's port mapping knows of the router.
GatewayFacts gateway_facts(const PortMappingReport& report, const AddressClassifier& classifier);

}  // namespace pyrsia::nat

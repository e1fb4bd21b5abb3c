/// For tests: a home with a router that maps ports, and a Mapper in it.
#pragma once

#include "nat/portmap/fake_router.hpp"
#include "nat/portmap/mapper.hpp"
#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::portmap {

inline const LogSink kNoLog;
inline constexpr std::uint16_t kPort = 44000;

inline IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

inline sim::NatConfig nat_config(const char* external) {
  sim::NatConfig config;
  config.external = {ip(external)};
  return config;
}

inline FakeRouter::Forward forward_on(sim::SimNat& nat) {
  return [&nat](const FakeRouter::Key& key, const std::optional<Endpoint>& internal) {
    const auto protocol = key.first == Transport::tcp ? sim::Protocol::tcp : sim::Protocol::udp;
    nat.table().remove_forward(protocol, key.second);
    if (internal) nat.table().add_forward({protocol, key.second, *internal});
  };
}

/// A node behind a home router, and a stranger outside; optionally a carrier's NAT between.
struct Home : Observer {
  explicit Home(const char* carrier_external = nullptr, const char* between = "100.64.0.2")
      : carrier(carrier_external ? &net.add_nat(nat_config(carrier_external)) : nullptr),
        nat(net.add_nat(nat_config(carrier ? between : "73.1.2.3"), carrier)),
        node(net.add_host({.name = "node", .addresses = {"192.168.1.2"}, .behind = &nat})),
        box(net.add_host({.name = "router", .addresses = {"192.168.1.1"}, .behind = &nat})),
        stranger(net.add_host({.name = "stranger", .addresses = {"5.6.7.8"}})),
        router(box, ip("192.168.1.1"), ip(carrier ? between : "73.1.2.3"), forward_on(nat)) {
    node.set_gateways({"192.168.1.1"});
    EXPECT_TRUE(router.start());
    world.set_run_limit(std::chrono::hours(1));
  }
  ~Home() override {
    if (mapper) stop();
    world.run(router.stop());
  }

  void start(Memory memory = {}) {
    mapper = std::make_unique<Mapper>(node, config, classifier, *this, std::move(memory), metrics,
                                      Logger("portmap", kNoLog));
    mapper->set_listeners({{Transport::tcp, {IpAddress::v4_any(), kPort}}});
    mapper->start();
  }
  Duration stop() {
    const auto started = world.now();
    const auto [stopped] = world.run(mapper->stop());
    EXPECT_TRUE(stopped);
    mapper.reset();
    return world.now() - started;
  }
  /// For one protocol only.
  void use(Method method) {
    router.does.speaks_pcp = method == Method::pcp;
    router.does.speaks_nat_pmp = method == Method::nat_pmp;
    router.does.speaks_upnp = method == Method::upnp;
  }
  MappingStatus status() const {
    const auto report = mapper->report();
    return report.mappings.empty() ? MappingStatus() : report.mappings.front();
  }
  bool stranger_gets_in(const char* outside) {
    const auto listener = node.tcp_listen({IpAddress::v4_any(), kPort}, {});
    auto connecting = stranger.tcp_connect({ip(outside), kPort}, {});
    const auto [connected] =
        world.run(with_timeout(stranger, std::chrono::seconds(3), std::move(connecting)));
    return connected.has_value();
  }
  std::string attempt(Method method) const {
    for (const auto& each : mapper->report().attempts)
      if (each.method == method) return each.words;
    return "not tried";
  }

  void on_mapping(const MappingEvent& event) override { events.push_back(event); }
  std::size_t count(MappingEvent::Kind kind) const {
    return static_cast<std::size_t>(
        std::ranges::count(events, kind, [](const MappingEvent& event) { return event.kind; }));
  }

  sim::World world;
  sim::Network net{world};
  sim::SimNat* carrier;
  sim::SimNat& nat;
  sim::SimHost& node;
  sim::SimHost& box;
  sim::SimHost& stranger;
  FakeRouter router;
  AddressClassifier classifier;
  MapperConfig config;
  Metrics metrics;
  std::vector<MappingEvent> events;
  std::unique_ptr<Mapper> mapper;
};

}  // namespace pyrsia::portmap

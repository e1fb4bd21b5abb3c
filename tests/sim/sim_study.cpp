#include "sim_study.hpp"

#include <algorithm>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;
using Forward = StudyCondition::Forward;

constexpr auto kOutside = "20.1.1.7";
constexpr auto kInside = "192.168.1.2";
constexpr auto kWatched = 60s;       // Before the forward changes, if it does.
constexpr auto kWatchedAfter = 30s;  // And after.
constexpr auto kLook = 10ms;         // How exact times are.

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

Task<> start_program(SimNode& node) {
  co_return co_await node.start();
}

/// A cluster, a node behind a box, and what is seen of it.
class Study {
 public:
  Study(StudyKind kind, const StudyCondition& condition, std::uint64_t seed)
      : kind_(kind), condition_(condition), world_(seed), network_(world_) {
    world_.set_run_limit(10min);
    sim::PathConfig path;
    path.one_way_delay = 50ms;
    path.jitter = 5ms;
    network_.set_default_path(path);
    make_cluster();
    make_node();
  }

  StudyRun run() {
    for (const auto& server : servers_) world_.run(start_program(*server));
    world_.run_for(5s);  // The siblings find each other.
    world_.run(start_program(*node_));
    begin_ = world_.now();
    StudyRun out;
    out.is_truly_reachable = is_open();
    watch(out, kWatched);
    if (condition_.forward != Forward::none) {
      change_forward();
      change_at_ = world_.now();
      out.is_truly_reachable = is_open();
      machine_->announce_network_change();
      watch(out, kWatchedAfter);
    }
    const auto nat = node_->host().nat();
    out.final_status = nat.status;
    out.reason = nat.reason;
    out.is_falsely_unreachable = out.is_truly_reachable && nat.status == Reachability::unreachable;
    stop();
    return out;
  }

 private:
  bool is_translated() const { return kind_ != StudyKind::none && kind_ != StudyKind::firewall; }
  bool is_open() const {
    if (condition_.forward != Forward::none)
      return (condition_.forward == Forward::added) == change_at_.has_value();
    return kind_ == StudyKind::none || kind_ == StudyKind::full_cone;
  }

  Config server_config(std::size_t number) {
    auto config = boot_config();
    config.listen = listen_by_both();
    for (std::size_t other = 0; other < cluster_size(); ++other)
      if (other != number) config.siblings.push_back(address_of(other));
    if (number < condition_.flaky_count && number % 3 == 0) {
      config.autonat_v2.requests_per_minute = 1;  // Refuses nearly all.
      config.autonat.requests_per_period = 1;
    }
    return config;
  }
  std::size_t cluster_size() const { return condition_.server_count + 1; }
  static std::string ip_of(std::size_t number) { return "30." + std::to_string(number) + ".0.1"; }
  static Multiaddr address_of(std::size_t number) {
    const auto peer = key_of(std::uint8_t(number + 1)).peer_id();
    return Multiaddr::tcp({ip(ip_of(number)), SimNode::kPort}).with_peer(peer);
  }
  /// As a status document lists them.
  static std::vector<Multiaddr> addresses_of(std::size_t number) {
    const auto peer = key_of(std::uint8_t(number + 1)).peer_id();
    const Endpoint at{ip(ip_of(number)), SimNode::kPort};
    return {address_of(number), Multiaddr::quic_v1(at).with_peer(peer)};
  }

  void make_cluster() {
    for (std::size_t i = 0; i < cluster_size(); ++i) {
      const bool is_mute = condition_.is_helper_mute && i == condition_.server_count;
      auto* box = is_mute ? &network_.add_nat(mute_box(ip_of(i))) : nullptr;
      auto& machine = network_.add_host({.name = ip_of(i), .addresses = {ip_of(i)}, .behind = box});
      machines_.push_back(&machine);
      edges_.push_back(box ? static_cast<const sim::Node*>(box) : &machine);
      servers_.push_back(std::make_unique<SimNode>(machine, std::uint8_t(i + 1), server_config(i)));
    }
  }

  sim::NatConfig box() const {
    sim::NatConfig config;
    if (is_translated()) config.external = {ip(kOutside)};
    switch (kind_) {
      case StudyKind::full_cone: config.filtering = Dependence::endpoint_independent; break;
      case StudyKind::address_restricted: config.filtering = Dependence::address_dependent; break;
      case StudyKind::symmetric:
        config.mapping = Dependence::address_and_port_dependent;
        config.allocation = sim::PortAllocation::random;
        break;
      default: break;
    }
    if (condition_.forward == Forward::removed) config.forwards = forwards();
    return config;
  }
  /// A firewall that lets anybody in to the listener, and nothing out but its answers.
  static sim::NatConfig mute_box(const std::string& server) {
    sim::NatConfig config;
    config.blocks_dials = true;
    config.forwards = forwards(server);
    return config;
  }
  static std::vector<sim::PortForward> forwards(std::string_view host = kInside) {
    const Endpoint inside{ip(host), SimNode::kPort};
    return {{sim::Protocol::tcp, SimNode::kPort, inside},
            {sim::Protocol::udp, SimNode::kPort, inside}};
  }

  void make_node() {
    sim::SimNat* outer = nullptr;
    if (kind_ == StudyKind::double_nat) {
      outer = &network_.add_nat(box());
      auto inner = box();
      inner.external = {ip("100.64.0.2")};
      nat_ = &network_.add_nat(inner, outer);
    } else if (kind_ != StudyKind::none) {
      nat_ = &network_.add_nat(box());
    }
    const auto* address = is_translated() ? kInside : kOutside;
    machine_ = &network_.add_host({.name = "node", .addresses = {address}, .behind = nat_});
    sim::PathConfig path;
    path.one_way_delay = condition_.one_way_delay;
    path.jitter = 5ms;
    path.loss = condition_.loss;
    const sim::Node& edge = outer  ? static_cast<const sim::Node&>(*outer)
                            : nat_ ? static_cast<const sim::Node&>(*nat_)
                                   : *machine_;
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      auto own = path;
      if (i < condition_.flaky_count && i % 3 == 1) own.loss = 0.4;
      network_.set_path(edge, *edges_[i], own);
    }
    Config config;
    config.listen = listen_by_both();
    for (std::size_t i = 0; i < condition_.server_count; ++i)
      for (const auto& each : addresses_of(i)) config.peers.push_back(each);
    node_ = std::make_unique<SimNode>(*machine_, 200, config);
  }

  void change_forward() {
    if (condition_.forward == Forward::removed) return nat_->table().remove_forwards();
    for (const auto& each : forwards()) nat_->table().add_forward(each);
  }

  void watch(StudyRun& out, Duration duration) {
    const auto end = world_.now() + duration;
    auto last_flaky = world_.now();
    while (world_.now() < end) {
      world_.run_for(kLook);
      if (world_.now() - last_flaky > 7s) {
        last_flaky = world_.now();
        disturb();
      }
      look(out);
    }
  }

  /// The third kind of flaky server loses all its connections now and then.
  void disturb() {
    for (std::size_t i = 2; i < condition_.flaky_count; i += 3)
      machines_[i]->break_connections(ip_of(i));
  }

  void look(StudyRun& out) {
    const auto nat = node_->host().nat();
    const auto since_begin = world_.now() - begin_;
    if (nat.status != Reachability::unknown && !out.provisional) out.provisional = since_begin;
    if (nat.is_confirmed && !out.confirmed) out.confirmed = since_begin;
    const bool is_right = nat.status == (out.is_truly_reachable ? Reachability::reachable
                                                                : Reachability::unreachable);
    if (change_at_ && is_right && !out.noticed) out.noticed = world_.now() - *change_at_;
    // What was true a moment ago may still be thought until the change is noticed.
    const bool is_settled = !change_at_ || out.noticed;
    if (is_settled && nat.status == Reachability::reachable && !out.is_truly_reachable)
      out.was_falsely_reachable = true;
    if (nat.status == Reachability::unknown || nat.status == last_) return;
    const bool is_caused = change_at_ && is_right;
    if (last_ != Reachability::unknown && !is_caused) ++out.flips;
    last_ = nat.status;
  }

  void stop() {
    world_.run(node_->stop());
    for (const auto& server : servers_) world_.run(server->stop());
  }

  StudyKind kind_;
  StudyCondition condition_;
  sim::World world_;
  sim::Network network_;
  std::vector<sim::SimHost*> machines_;
  std::vector<const sim::Node*> edges_;  ///< Theirs to the internet.
  std::vector<std::unique_ptr<SimNode>> servers_;
  sim::SimNat* nat_ = nullptr;
  sim::SimHost* machine_ = nullptr;
  std::unique_ptr<SimNode> node_;
  TimePoint begin_{};
  std::optional<TimePoint> change_at_;
  Reachability last_ = Reachability::unknown;
};

}  // namespace

std::string_view name(StudyKind kind) {
  switch (kind) {
    case StudyKind::none: return "no NAT";
    case StudyKind::firewall: return "firewall";
    case StudyKind::full_cone: return "full cone";
    case StudyKind::address_restricted: return "address-restricted";
    case StudyKind::port_restricted: return "port-restricted";
    case StudyKind::symmetric: return "symmetric";
    case StudyKind::double_nat: return "double NAT";
  }
  return "";
}

StudyRun run_study(StudyKind kind, const StudyCondition& condition, std::uint64_t seed) {
  return Study(kind, condition, seed).run();
}

}  // namespace pyrsia::test

#include "sim/network.hpp"

#include "sim/host.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::sim {
namespace {

/// A packet goes through no more boxes: a loop of boxes is a mistake in the test.
constexpr int kMaxBoxCount = 16;

constexpr std::uint8_t kCongestion = 3;  // RFC 3168: CE.

/// `node` and the boxes it is behind, from inside to outside.
std::vector<const Node*> way_out(const Node& node) {
  std::vector<const Node*> nodes{&node};
  while (const Node* box = nodes.back()->behind()) nodes.push_back(box);
  assert(nodes.size() <= kMaxBoxCount);
  return nodes;
}

/// The nodes beside each other through which packets between `a` and `b` pass.
std::pair<const Node*, const Node*> neighbours(const Node& a, const Node& b) {
  auto from = way_out(a);
  auto to = way_out(b);
  while (from.size() > 1 && to.size() > 1 && from.back() == to.back()) {
    from.pop_back();
    to.pop_back();
  }
  return {from.back(), to.back()};
}

std::vector<IpAddress> parse(const std::vector<std::string>& texts) {
  std::vector<IpAddress> addresses;
  for (const auto& text : texts) addresses.push_back(IpAddress::parse(text).value());
  return addresses;
}

}  // namespace

Network::Network(World& world) : world_(world), random_(world.random_stream(0)), clock_(*this) {
  world_.set_describer(this, [this] { return describe(); });
}

Network::~Network() {
  world_.set_describer(this, nullptr);
}

std::string Network::describe() const {
  std::string text;
  for (const auto& host : hosts_) text += host->describe();
  return text;
}

SimHost& Network::add_host(const HostConfig& config) {
  hosts_.push_back(std::make_unique<SimHost>(*this, config.name, parse(config.addresses),
                                             config.behind, config.access_delay,
                                             world_.random_stream(++last_stream_)));
  auto& host = *hosts_.back();
  for (const auto& ip : host.addresses()) enter(host, ip);
  return host;
}

SimNat& Network::add_nat(const NatConfig& config, SimNat* behind) {
  auto random = world_.random_stream(++last_stream_);
  nats_.push_back(std::make_unique<SimNat>(config, random, behind));
  auto& nat = *nats_.back();
  for (const auto& ip : nat.addresses()) enter(nat, ip);
  return nat;
}

void Network::set_path(const Node& a, const Node& b, const PathConfig& config) {
  set_path_one_way(a, b, config);
  set_path_one_way(b, a, config);
}

void Network::set_path_one_way(const Node& from, const Node& to, const PathConfig& config) {
  auto& chosen = ways_[neighbours(from, to)];
  chosen.path.set_config(config);
  chosen.is_default = false;
}

void Network::set_default_path(const PathConfig& config) {
  default_path_ = config;
  for (auto& [nodes, way] : ways_)
    if (way.is_default && !nodes.first->behind()) way.path.set_config(config);
}

void Network::partition(const std::vector<const Node*>& side,
                        const std::vector<const Node*>& other) {
  partitions_.push_back({{side.begin(), side.end()}, {other.begin(), other.end()}});
}

bool Network::operation_fails() {
  return operation_count_++ == failing_operation_;
}

void Network::readdress(Node& node, const std::vector<IpAddress>& before) {
  for (const auto& ip : before) leave(node, ip);
  for (const auto& ip : node.addresses()) enter(node, ip);
}

void Network::enter(Node& node, const IpAddress& ip) {
  auto* owner = &node;
  for (;;) {
    auto* const box = owner->behind();
    auto& place = realms_[box][ip];
    assert(!place || place == owner);  // Two nodes of one place with the same address.
    place = owner;
    if (!box || box->table().translates(ip)) return;
    owner = box;  // A firewall hides nothing: outside, its hosts' addresses lead to it.
  }
}

void Network::leave(Node& node, const IpAddress& ip) {
  auto* owner = &node;
  for (;;) {
    auto* const box = owner->behind();
    realms_[box].erase(ip);
    if (!box || box->table().translates(ip)) return;
    owner = box;
  }
}

Node* Network::find(const SimNat* realm, const IpAddress& ip) const {
  const auto place = realms_.find(realm);
  if (place == realms_.end()) return nullptr;
  const auto owner = place->second.find(ip);
  return owner == place->second.end() ? nullptr : owner->second;
}

void Network::send(SimHost& host, Packet packet) {
  packet.sender = &host;
  if (packet.to.ip.is_loopback() || host.has_address(packet.to.ip)) {
    schedule(world_.now(), std::move(packet), host);
  } else if (!host.has_address(packet.from.ip) || packet.from.ip.is_loopback()) {
    drop(packet, "not an address of its host");
  } else {
    route(std::move(packet), host);
  }
}

void Network::route(Packet packet, Node& first) {
  const auto sender = packet.from;
  auto* side = &first;
  auto delay = side->access_delay();
  for (;;) {
    auto* const box = side->behind();
    if (auto* owner = find(box, packet.to.ip)) {
      cross(std::move(packet), *side, *owner, delay);
      return;
    }
    if (!box) {
      drop(packet, "no such host");
      return;
    }
    if (box->table().is_external(packet.to.ip)) {
      hairpin(std::move(packet), *side, *box);
      return;
    }
    if (expires(packet, sender, first, *box, delay)) return;
    if (!box->table().translate_outbound(packet, world_.now())) {
      drop(packet, "no free mapping");
      return;
    }
    side = box;
    delay += side->access_delay();
  }
}

bool Network::expires(Packet& packet, const Endpoint& sender, Node& host, const SimNat& box,
                      Duration delay) {
  if (packet.hop_limit == 0 || --packet.hop_limit > 0) return false;
  drop(packet, "hop limit");
  if (box.inside()) {
    Packet error;
    error.from = packet.to;
    error.to = sender;
    error.expired_at = box.inside();
    schedule(world_.now() + 2 * delay, std::move(error), host);
  }
  return true;
}

void Network::hairpin(Packet packet, Node& side, SimNat& nat) {
  const auto original = packet;
  auto verdict = NatTable::Verdict::drop;
  if (nat.table().has_hairpin() && nat.table().translate_outbound(packet, world_.now()))
    verdict = nat.table().translate_inbound(packet, world_.now());
  if (verdict == NatTable::Verdict::refuse) schedule(world_.now(), refusal(original), side);
  auto* const owner = find(&nat, packet.to.ip);
  if (verdict != NatTable::Verdict::pass || !owner) {
    drop(original, "hairpin");
    return;
  }
  world_.probe("nat: hairpin");
  cross(std::move(packet), side, *owner, side.access_delay());
}

void Network::refuse(const Packet& packet, SimNat& nat) {
  world_.probe("nat: refused a connection");
  auto answer = refusal(packet);
  answer.sender = &nat;
  route(std::move(answer), nat);
}

void Network::cross(Packet packet, Node& from, Node& to, Duration delay) {
  const auto sent = world_.now() + delay;
  auto& path = way(from, to).path;
  const auto mtu = path.config().mtu_bytes;
  if (packet.dont_fragment && mtu > 0 && packet.wire_bytes() > mtu) {
    drop(packet, "too large");
    return;
  }
  const auto marks = path.config().congestion_marks;
  if (marks > 0 && packet.ecn != 0 && random_share(random_) < marks) packet.ecn = kCongestion;
  const auto arrival = path.send(sent, packet.wire_bytes(), random_);
  if (!arrival) {
    drop(packet, "lost");
    return;
  }
  trace(packet, "sent");
  schedule(*arrival + to.access_delay(), std::move(packet), to);
}

void Network::schedule(TimePoint at, Packet packet, Node& node) {
  under_way_.emplace(at, Arrival{std::move(packet), &node});
  world_.timers().arm(clock_, under_way_.begin()->first);
}

void Network::deliver_next() {
  auto next = under_way_.extract(under_way_.begin());
  if (!under_way_.empty()) world_.timers().arm(clock_, under_way_.begin()->first);
  arrive(std::move(next.mapped().packet), *next.mapped().at);
}

void Network::arrive(Packet packet, Node& node) {
  if (auto* host = dynamic_cast<SimHost*>(&node)) {
    if (is_partitioned(packet.sender, node)) {
      drop(packet, "partition");
    } else if (!host->is_up() ||
               (!packet.to.ip.is_loopback() && !host->has_address(packet.to.ip))) {
      drop(packet, "host is down");
    } else {
      ++delivered_count_;
      trace(packet, "delivered");
      host->receive(std::move(packet));
    }
    return;
  }
  auto& nat = dynamic_cast<SimNat&>(node);
  // What our own refusal of an inner host's packet answers has no mapping to pass.
  const auto original = packet;
  const auto verdict = nat.table().translate_inbound(packet, world_.now());
  if (verdict == NatTable::Verdict::refuse) refuse(original, nat);
  auto* const owner = find(&nat, packet.to.ip);
  if (verdict != NatTable::Verdict::pass || !owner) {
    drop(original, "filtered");
    return;
  }
  schedule(world_.now() + owner->access_delay(), std::move(packet), *owner);
}

bool Network::is_partitioned(const Node* from, const Node& to) const {
  if (!from || partitions_.empty()) return false;
  const auto senders = way_out(*from);
  const auto receivers = way_out(to);
  const auto is_in = [](const std::vector<const Node*>& nodes, const std::set<const Node*>& side) {
    return std::ranges::any_of(nodes, [&](const Node* node) { return side.contains(node); });
  };
  return std::ranges::any_of(partitions_, [&](const Partition& partition) {
    return (is_in(senders, partition.side) && is_in(receivers, partition.other)) ||
           (is_in(senders, partition.other) && is_in(receivers, partition.side));
  });
}

void Network::drop(const Packet& packet, std::string_view why) {
  ++dropped_count_;
  trace(packet, why);
}

void Network::trace(const Packet& packet, std::string_view what) {
  if (!trace_) return;
  const auto now = world_.now().time_since_epoch().count();
  trace_(std::to_string(now) + " " + std::string(what) + ": " + packet.to_string());
}

Network::Way& Network::way(const Node& from, const Node& to) {
  const auto [found, is_new] = ways_.try_emplace(std::pair(&from, &to));
  if (is_new) {
    found->second.is_default = true;
    if (!from.behind()) found->second.path.set_config(default_path_);
  }
  return found->second;
}

}  // namespace pyrsia::sim

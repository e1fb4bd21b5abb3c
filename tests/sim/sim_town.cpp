#include "sim_town.hpp"

#include <algorithm>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;

/// More than this at one host, and connections are not let go: each resident knows all boot
/// servers and its friends, may have two connections with each, and is dialed back.
constexpr std::size_t kMaxConnections = 400;
constexpr std::size_t kMaxMappings = 4000;

Task<> start_program(Resident& resident) {
  co_return co_await resident.start();
}

Task<> stop_all(const std::vector<std::unique_ptr<Resident>>& residents, Env& env) {
  TaskGroup stopping(env);
  for (const auto& resident : residents)
    if (resident->is_running()) stopping.spawn(resident->stop());
  co_return co_await stopping.join();
}

std::string describe(Resident& resident) {
  std::string text = resident.is_boot() ? "boot server " : "node ";
  const auto& machine = resident.machine();
  text += machine.name() + " at";
  for (const auto& ip : machine.addresses()) text += " " + ip.to_string();
  for (const auto& [nat, box] : resident.boxes()) {
    text += box.external.empty() ? ", firewall" : ", NAT";
    text += " mapping " + std::to_string(int(box.mapping));
    text += " filtering " + std::to_string(int(box.filtering));
    text += " allocation " + std::to_string(int(box.allocation));
    if (!box.forwards.empty()) text += " with forward";
  }
  return text;
}

}  // namespace

Town::Town(std::uint64_t seed, const TownConfig& config)
    : config_(config), world_(seed), random_(world_.random_stream(1'000'000)) {
  world_.set_run_limit(1min);
  sim::PathConfig path;
  path.one_way_delay = 5ms + draw(40) * 1ms;
  path.jitter = 10ms;
  path.loss = 0.005 * double(draw(4));
  path.reorder = 0.01 * double(draw(4));
  network_.set_default_path(path);
  for (std::size_t i = 0; i < config_.boot_count; ++i)
    urls_.push_back("http://boot" + std::to_string(i) + ".pyrsia.test:7888/status");
  for (std::size_t i = 0; i < config_.boot_count; ++i) add_boot(i);
  while (residents_.size() < config_.boot_count + config_.home_count) add_home();
  choose_friends();
}

void Town::add_boot(std::size_t number) {
  const auto ip = "30." + std::to_string(number) + ".0.1";
  network_.dns().add("boot" + std::to_string(number) + ".pyrsia.test", {ip});
  bootstrap::DirectoryConfig directory;
  for (std::size_t i = 0; i < urls_.size(); ++i)
    if (i != number) directory.members.push_back(urls_[i]);
  add(ip, {}, boot_config(), std::move(directory));
}

void Town::add_home() {
  sim::NatConfig firewall;
  firewall.filtering = Dependence(draw(3));
  const sim::PortForward forward{
      sim::Protocol::tcp, SimNode::kPort, {*IpAddress::parse("192.168.1.2"), SimNode::kPort}};
  switch (draw(6)) {
    case 0: add_behind({}); break;
    case 1: add_behind({firewall}); break;
    case 2: {
      auto router = random_box(new_outer_ip());
      router.forwards = {forward};
      add_behind({router});
      break;
    }
    case 3: {
      auto router = random_box("100.64.0.2");
      if (draw(2) == 0) router.forwards = {forward};
      add_behind({router, random_box(new_outer_ip())});
      break;
    }
    default: add_behind({random_box(new_outer_ip())});
  }
}

/// Of two machines at the most, of which only the first can have a forwarded port.
void Town::add_behind(const std::vector<sim::NatConfig>& configs) {
  sim::SimNat* outside = nullptr;
  std::vector<Box> boxes;
  for (auto at = configs.rbegin(); at != configs.rend(); ++at) {
    outside = &network_.add_nat(*at, outside);
    boxes.insert(boxes.begin(), Box{outside, *at});
  }
  const bool is_translated = !configs.empty() && !configs.front().external.empty();
  if (!is_translated) {
    add(new_outer_ip(), boxes, home_config(), {});
    return;
  }
  add("192.168.1.2", boxes, home_config(), {});
  const bool has_room = residents_.size() < config_.boot_count + config_.home_count;
  if (has_room && draw(4) == 0) add("192.168.1.3", boxes, home_config(), {});
}

Resident& Town::add(const std::string& ip, const std::vector<Box>& boxes, Config config,
                    bootstrap::DirectoryConfig directory) {
  const auto number = residents_.size() + 1;
  sim::HostConfig machine;
  machine.name = std::to_string(number);
  machine.addresses = {ip};
  machine.behind = boxes.empty() ? nullptr : boxes.front().nat;
  machine.access_delay = draw(30) * 1ms;
  residents_.push_back(std::make_unique<Resident>(network_.add_host(machine), boxes,
                                                  std::uint8_t(number), std::move(config),
                                                  std::move(directory)));
  return *residents_.back();
}

void Town::choose_friends() {
  std::vector<Resident*> open;
  for (const auto& resident : residents_)
    if (resident->boxes().empty() && !resident->is_boot()) open.push_back(resident.get());
  for (const auto& resident : residents_) {
    std::vector<Resident*> friends;
    for (std::size_t i = 0; !open.empty() && i < config_.friend_count; ++i) {
      auto* chosen = open[draw(open.size())];
      if (chosen != resident.get()) friends.push_back(chosen);
    }
    if (!resident->is_boot()) resident->set_friends(std::move(friends));
  }
}

sim::NatConfig Town::random_box(const std::string& outer) {
  sim::NatConfig box;
  box.external = {*IpAddress::parse(outer)};
  box.mapping = Dependence(draw(3));
  box.filtering = Dependence(draw(3));
  box.allocation = sim::PortAllocation(draw(3));
  box.has_hairpin = draw(2) == 0;
  box.refuses_tcp = draw(2) == 0;
  return box;
}

std::string Town::new_outer_ip() {
  const auto number = ++place_count_;
  return "20." + std::to_string(number / 200) + "." + std::to_string(number % 200) + ".7";
}

/// It knows two boot servers at least, so that one may be dead.
Config Town::home_config() {
  auto config = node_config(urls_[0]);
  config.bootstrap_urls = urls_;
  if (draw(2) == 0) config.bootstrap_urls.erase(config.bootstrap_urls.begin() + draw(urls_.size()));
  return config;
}

bool Town::start() {
  return std::ranges::all_of(residents_, [this](const auto& each) { return start(*each); });
}

bool Town::start(Resident& resident) {
  const auto [started] = world_.run(start_program(resident));
  return started.has_value();
}

bool Town::stop(Resident& resident) {
  if (!resident.is_running()) return true;
  const auto [stopped] = world_.run(resident.stop());
  if (stopped) resident.clear();
  return stopped.has_value();
}

bool Town::stop() {
  const auto [stopped] = world_.run(stop_all(residents_, world_.env()));
  if (!stopped) return false;
  for (const auto& resident : residents_) resident->clear();
  return true;
}

bool Town::disturb() {
  auto& victim = any();
  switch (draw(12)) {
    case 0:
    case 1: victim.machine().crash(); return stop(victim);
    case 2:
    case 3: victim.machine().kill(); return stop(victim);
    case 4: return stop(victim) && start(victim);
    case 5:
    case 6: cut_off_some(); return true;
    case 7: network_.heal(); return true;
    case 8: reboot_box(victim); return true;
    case 9: move(victim); return true;
    case 10: victim.machine().set_wall_offset(1h * draw(100)); return true;
    default:
      return std::ranges::all_of(
          residents_, [this](const auto& each) { return each->is_running() || start(*each); });
  }
}

/// Some of the town cannot reach the rest, or a boot server.
void Town::cut_off_some() {
  std::vector<const sim::Node*> side;
  std::vector<const sim::Node*> other;
  for (const auto& resident : residents_)
    (draw(4) == 0 ? side : other).push_back(&resident->machine());
  if (draw(2) == 0) other = {&residents_[draw(config_.boot_count)]->machine()};
  network_.partition(side, other);
}

/// Its provider gives it another address.
void Town::move(Resident& resident) {
  if (resident.is_boot() || !resident.boxes().empty()) return;
  resident.machine().set_addresses({new_outer_ip()});
}

void Town::reboot_box(Resident& resident) {
  for (const auto& box : resident.boxes()) box.nat->table().forget();
}

bool Town::calm() {
  network_.heal();
  auto* dead = draw(3) == 0 ? residents_[draw(config_.boot_count)].get() : nullptr;
  if (dead) {
    dead->machine().crash();
    if (!stop(*dead)) return false;
  }
  return std::ranges::all_of(residents_, [&](const auto& each) {
    return each.get() == dead || each->is_running() || start(*each);
  });
}

std::string Town::problem() {
  for (const auto& resident : residents_) {
    if (!resident->is_running()) continue;
    if (auto text = problem_of(*resident); !text.empty()) return describe(*resident) + ": " + text;
  }
  return {};
}

std::string Town::problem_of(Resident& resident) {
  const auto peers = resident.node().connected_peers();
  const auto is_boot_peer = [&](const auto& other) {
    return other->is_boot() && other->is_running() &&
           std::ranges::find(peers, other->peer()) != peers.end();
  };
  if (!resident.is_boot() && std::ranges::none_of(residents_, is_boot_peer))
    return "is connected to no boot server";
  const auto nat = resident.node().host().nat();
  const auto truth = truth_of(resident.machine().addresses().front(), resident.boxes());
  // Where all boot servers have been contacted, and the NAT lets those in, nothing is certain.
  const bool is_open_question = nat.reason.find("contacted") != nat.reason.npos &&
                                truth.may_be_reachable && !resident.boxes().empty();
  const bool is_right = nat.status == Reachability::reachable     ? truth.may_be_reachable
                        : nat.status == Reachability::unreachable ? truth.may_be_unreachable
                                                                  : is_open_question;
  if (!is_right)
    return std::string(name(nat.status)) + ", confidence " + std::to_string(nat.confidence) + ": " +
           nat.reason;
  if (!resident.is_boot()) return {};
  const auto healthy = resident.node().directory().members().healthy_count();
  const auto running = std::size_t(std::ranges::count_if(
      residents_, [](const auto& each) { return each->is_boot() && each->is_running(); }));
  if (healthy + 1 != running) return std::to_string(healthy) + " healthy members";
  return {};
}

std::string Town::nonsense() {
  for (const auto& resident : residents_) {
    if (!resident->is_running()) continue;
    if (auto text = nonsense_of(*resident); !text.empty()) return describe(*resident) + ": " + text;
  }
  return {};
}

std::string Town::nonsense_of(Resident& resident) {
  auto counters = resident.node().host().counters();
  const auto count = [&](const std::string& name) {
    return counters.at("pyrsia_" + name + "_total");
  };
  if (count("swarm_dials_failed") > count("swarm_dials")) return "more dials failed than made";
  if (count("autonat_client_answered") + count("autonat_client_failed") >
      count("autonat_client_probes"))
    return "more probes ended than begun";
  if (count("bootstrap_failures") > count("bootstrap_fetches")) return "more failures than fetches";
  for (const auto* never :
       {"yamux_protocol_errors", "autonat_server_bad_requests", "swarm_connections_refused"})
    if (count(never) > 0) return std::string(never) + " is " + std::to_string(count(never));
  if (resident.machine().connection_count() > kMaxConnections)
    return std::to_string(resident.machine().connection_count()) + " connections";
  if (resident.node().host().nat().addresses.size() > 16) return "too many addresses";
  for (const auto& box : resident.boxes())
    if (box.nat->table().mapping_count() > kMaxMappings)
      return std::to_string(box.nat->table().mapping_count()) + " mappings";
  return {};
}

}  // namespace pyrsia::test

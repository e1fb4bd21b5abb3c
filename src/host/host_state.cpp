#include "host/host_state.hpp"

#include "base/ip_group.hpp"
#include "host/reachability_record.hpp"
#include "host/scope.hpp"
#include "host/thin_waist.hpp"
#include "multi/websocket_address.hpp"

#include <algorithm>
#include <array>

namespace pyrsia {
namespace {

/// How long it takes at most until those are connected that can be.
constexpr Duration kStart = std::chrono::seconds(10);

const Multiaddr kSecureWebSocket = *Multiaddr::parse("/tls/ws");

swarm::Config swarm_config(const Config& config) {
  swarm::Config out;
  out.max_connections = config.max_connections;
  return out;
}

/// Their multistream-select ids.
std::vector<std::string> security_protocols(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const auto& name : names)
    out.emplace_back(name == "tls" ? secure::tls::kProtocol : secure::noise::kProtocol);
  return out;
}

identify::Config identify_config(const Config& config) {
  identify::Config out;
  if (!config.agent.empty()) out.agent = config.agent;
  return out;
}

autonat::ServerConfig server_config(const AutonatConfig& config) {
  autonat::ServerConfig out;
  out.dial_budget = config.dial_back_budget;
  // The second bounds what the first would add up to. Its ratios are those of the server's
  // defaults.
  out.throttle = {
      {config.period, config.requests_per_period, config.requests_of_one_peer_per_period,
       config.requests_of_one_peer_per_period * 2},
      {config.period * 60, config.requests_per_period * 20,
       config.requests_of_one_peer_per_period * 10, config.requests_of_one_peer_per_period * 20}};
  return out;
}

autonat::ClientConfig client_config(const AutonatConfig& config) {
  autonat::ClientConfig out;
  out.boot_delay = config.boot_delay;
  out.retry_interval = config.retry_interval;
  out.probe_timeout = config.probe_timeout;
  return out;
}

autonat_v2::DialerConfig dialer_config(const AutonatV2Config& config) {
  autonat_v2::DialerConfig out;
  out.dial_timeout = config.dial_timeout;
  return out;
}

autonat_v2::ServerConfig server_config(const AutonatV2Config& config) {
  autonat_v2::ServerConfig out;
  const auto data = config.dial_data_requests_per_minute;
  out.throttle = {{std::chrono::minutes(1), config.requests_per_minute,
                   config.requests_of_one_peer_per_minute, config.requests_of_one_ip_per_minute}};
  out.dial_data_throttle = {{std::chrono::minutes(1), data, (data + 2) / 3, (data + 1) / 2}};
  out.max_dial_wait = config.max_dial_wait;
  return out;
}

autonat_v2::ClientConfig client_config(const AutonatV2Config& config) {
  autonat_v2::ClientConfig out;
  out.refresh_interval = config.refresh_interval;
  out.probe_timeout = config.probe_timeout;
  out.max_dial_data_bytes = config.max_dial_data_bytes;
  return out;
}

autonat_v2::sibling::Config sibling_config(const Config& config) {
  autonat_v2::sibling::Config out;
  out.peers = config.siblings;
  out.own_addresses = config.announce;
  return out;
}

host::ReachabilityConfig reachability_config(const AutonatConfig& config) {
  host::ReachabilityConfig out;
  out.retry_interval = config.retry_interval;
  out.refresh_interval = config.refresh_interval;
  return out;
}

bootstrap::ClientConfig bootstrap_config(const Config& config) {
  bootstrap::ClientConfig out;
  out.urls = config.bootstrap_urls;
  out.timeout = config.bootstrap_timeout;
  out.cache_file = config.bootstrap_cache;
  out.cache_lifetime = config.bootstrap_cache_lifetime;
  return out;
}

JoinerConfig joiner_config(const Config& config) {
  JoinerConfig out;
  if (config.is_listen_only) return out;
  const auto listens_by = [&](bool is_udp) {
    return std::ranges::any_of(
        config.listen, [&](const Multiaddr& one) { return host::is_over_udp(one) == is_udp; });
  };
  out.wants_both_kinds = listens_by(false) && listens_by(true);
  out.peers = config.probe_servers;
  out.peers.insert(out.peers.end(), config.peers.begin(), config.peers.end());
  return out;
}

std::vector<Multiaddr> addresses_of(const std::vector<host::CandidateAddress>& candidates) {
  std::vector<Multiaddr> out;
  for (const auto& candidate : candidates) out.push_back(candidate.address);
  return out;
}

/// With `/tls/ws` for `/wss` in what is told others.
Config spelled_out(Config config) {
  for (auto& address : config.announce) address = multi::with_tls_spelled_out(address);
  return config;
}

bool joins_by_documents(const Config& config) {
  return !config.is_listen_only && (!config.bootstrap_urls.empty() || config.bootstrap_cache);
}

}  // namespace

Host::State::State(Env& e, const KeyPair& key, Config c)
    : env(e),
      config(spelled_out(std::move(c))),
      log("host", config.log),
      classifier(make_classifier(config)),
      events(env),
      swarm(env, key, swarm_config(config), classifier, log.named("swarm")),
      observed(classifier),
      reachability(reachability_config(config.autonat)),
      memory(env, config.network_memory, log.named("memory")),
      mapped_ports(
          env, config, classifier, memory,
          {.on_change =
               [this](const host::MappingChanged& change) { port_mapping_changed(change); },
           .on_event = [this](const PortMappingChanged& event) { events.push(event); }},
          log.named("portmap")),
      web_certificate(
          env, config.web_tls,
          [this](std::shared_ptr<const crypto::TlsContext> made) {
            tcp->set_certificate(std::move(made));
          },
          log.named("websocket")),
      nat64(env, log.named("nat64")),
      pinger(swarm, {}),
      identifier(
          swarm, identify_config(config), [this] { return advertised_addresses(); }, *this,
          log.named("identify")),
      autonat_server(swarm, server_config(config.autonat), *this, log.named("autonat")),
      autonat_client(
          swarm, client_config(config.autonat), [this] { return addresses_of(candidates()); },
          *this, log.named("autonat")),
      dial_backs(swarm, dialer_config(config.autonat_v2)),
      siblings(swarm, sibling_config(config), dial_backs, log.named("siblings")),
      autonat_v2_server(swarm, server_config(config.autonat_v2), dial_backs, siblings, *this,
                        log.named("autonat2")),
      autonat_v2_client(
          swarm, client_config(config.autonat_v2), [this] { return addresses_of(candidates()); },
          *this, log.named("autonat2")),
      perf_server(swarm, {}),
      joiner(swarm, joiner_config(config),
             joins_by_documents(config)
                 ? &bootstrap_client.emplace(
                       env, bootstrap_config(config), classifier, swarm.local_peer(),
                       log.named("bootstrap"), bootstrap_metrics,
                       [this](const BootstrapProgress& progress) { events.push(progress); })
                 : nullptr,
             {.on_progress = [this](const BootstrapProgress& progress) { events.push(progress); },
              .on_boot_peer =
                  [this](const bootstrap::BootPeer& boot) {
                    if (!autonat_client.add_server(boot.peer, boot.addresses))
                      log.debug("too many AutoNAT servers", {});
                  }},
             log.named("bootstrap")),
      nat64_doubted(env.executor()),
      tasks(env) {
  transport::tcp::Config tcp_config;
  tcp_config.securities = security_protocols(config.security);
  auto transport = std::make_unique<transport::tcp::Transport>(env, key, tcp_config);
  tcp = transport.get();
  swarm.add_transport(std::move(transport));
  auto over_udp = std::make_unique<transport::quic::Transport>(env, key, transport::quic::Config(),
                                                               log.named("quic"));
  quic = over_udp.get();
  swarm.add_transport(std::move(over_udp));
  shared_ports.emplace(env, config.stun, !config.is_listen_only, *quic, stun_callbacks(),
                       log.named("stun"));
  if (bootstrap_client)
    bootstrap_client->set_on_contact(
        [this](const IpAddress& ip) { autonat_v2_client.add_contacted_ip(ip, false); });
  swarm.set_synthesis([this](const IpAddress& v4) { return nat64.synthesize(v4); });
  swarm.add_observer(*this);
}

Host::State::~State() {
  swarm.remove_observer(*this);
}

Task<> Host::State::start(std::string* detail) {
  pinger.start();
  identifier.start();
  if (config.autonat.is_server) {
    autonat_server.start();
    autonat_v2_server.start();
    siblings.start();
  }
  if (config.serves_perf) perf_server.start();
  swarm.start();
  is_running = true;
  started_at = env.now();
  PYRSIA_CO_TRY(co_await load_web_tls(detail));
  PYRSIA_CO_TRY(co_await learn_nat64());
  PYRSIA_CO_TRY(listen_on_all(detail));
  PYRSIA_CO_TRY(co_await memory.load());
  came_here_at = env.now();
  look_which_network();
  on_listen_addresses_changed();
  mapped_ports.start();
  shared_ports->start();
  autonat_client.start();
  if (config.autonat_v2.is_client) autonat_v2_client.start();
  joiner.start();
  tasks.spawn(keep_house());
  tasks.spawn(watch_network());
  tasks.spawn(follow_nat64());
  if (web_certificate.is_configured()) tasks.spawn(web_certificate.watch());
  co_return ok;
}

Task<> Host::State::load_web_tls(std::string* detail) {
  PYRSIA_CO_TRY(co_await web_certificate.load(detail));
  if (!config.web_tls.extra_roots) co_return ok;
  Result<crypto::WebTrust> trust = Errc::cancelled;
  std::function<void()> work = [&] { trust = host::read_web_trust(config.web_tls, detail); };
  PYRSIA_CO_TRY(co_await env.run_blocking(std::move(work)));
  if (!trust) co_return trust.error();
  co_return tcp->set_trust(*trust, detail);
}

Result<> Host::State::listen_on_all(std::string* detail) {
  std::optional<std::uint16_t> tcp_port;
  const auto is_secure = [](const Multiaddr& address) { return address.is_secure_websocket(); };
  const bool shares_with_wss =
      web_certificate.is_configured() && std::ranges::none_of(config.listen, is_secure);
  for (const auto& address : config.listen) {
    auto bound = listen(address, tcp_port);
    const bool is_plain = bound && bound->is_plain_tcp();
    if (is_plain) tcp_port = bound->port();
    if (is_plain && shares_with_wss) bound = swarm.listen(*bound + kSecureWebSocket);
    if (bound) continue;
    if (detail)
      *detail = "cannot listen on " + address.to_string() + ": " + bound.error().message();
    return bound.error();
  }
  return ok;
}

Result<Multiaddr> Host::State::listen(const Multiaddr& address,
                                      std::optional<std::uint16_t> tcp_port) {
  // One number for both kinds is easier to forward, if it is free.
  if (address.is_quic_v1() && address.port() == 0 && tcp_port) {
    auto bound = swarm.listen(address.with_port(*tcp_port));
    if (bound) return bound;
  }
  return swarm.listen(address);
}

Task<> Host::State::stop() {
  if (!is_running) co_return ok;
  is_running = false;
  PYRSIA_CO_TRY(co_await joiner.stop());
  PYRSIA_CO_TRY(co_await mapped_ports.stop());
  PYRSIA_CO_TRY(co_await shared_ports->stop());
  PYRSIA_CO_TRY(co_await autonat_client.stop());
  PYRSIA_CO_TRY(co_await autonat_v2_client.stop());
  PYRSIA_CO_TRY(co_await siblings.stop());
  PYRSIA_CO_TRY(co_await identifier.stop());
  tasks.cancel();
  PYRSIA_CO_TRY(co_await tasks.join());
  network_watcher.reset();
  PYRSIA_CO_TRY(co_await swarm.stop());
  PYRSIA_CO_TRY(co_await memory.save());
  events.close();
  co_return ok;
}

std::vector<host::CandidateAddress> Host::State::candidates() const {
  std::vector<host::CandidateAddress> out;
  const auto add = [&](const Multiaddr& address, const char* source, std::size_t observers,
                       std::uint16_t local_port) {
    if (!classifier.is_usable_by_others(address)) return;
    const auto same = std::ranges::find(out, address, &host::CandidateAddress::address);
    if (same == out.end()) {
      out.push_back({address, source, observers, local_port});
    } else {
      same->observers = std::max(same->observers, observers);
      if (same->local_port == 0) same->local_port = local_port;
    }
  };
  for (const auto& address : config.announce) add(address.without_peer(), "announced", 0, 0);
  const auto listening = swarm.listen_addresses();
  for (const auto& address : listening) add(address, "listen", 0, address.port().value_or(0));
  // What runs over a port that is seen or mapped: TCP and WebSocket, or QUIC.
  const auto add_outside = [&](bool is_udp, std::uint16_t local_port, const Endpoint& outside,
                               const char* source, std::size_t observers) {
    for (const auto& address : listening) {
      const auto endpoint = address.endpoint();
      if (!endpoint || endpoint->port != local_port) continue;
      if (host::is_over_udp(address) != is_udp) continue;
      if (endpoint->ip.is_v6() != outside.ip.is_v6()) continue;
      add(address.with_ip(outside.ip).with_port(outside.port), source, observers, local_port);
    }
  };
  for (const auto& one : port_mappings)
    add_outside(one.is_udp, one.local_port, one.external, "mapped", 0);
  for (const auto& seen : observed.candidates(1))
    add_outside(seen.is_udp, seen.local_port, seen.external, "observed", seen.observers);
  return out;
}

std::vector<Multiaddr> Host::State::advertised_addresses() const {
  std::vector<Multiaddr> out;
  const auto add = [&](const Multiaddr& address) {
    if (std::ranges::find(out, address) == out.end()) out.push_back(address);
  };
  // In the order of the report, not of the last answers: peers shall hear of changes only.
  for (const auto& verdict : reachability.report(env.now()).addresses) {
    if (verdict.status == Reachability::reachable) add(verdict.address);
  }
  if (const auto& confirmed = reachability.public_address()) add(*confirmed);
  for (const auto& address : config.announce) add(address.without_peer());
  // Identify tells each peer only those that make sense where it is.
  for (const auto& address : swarm.listen_addresses()) {
    if (reachability.may_advertise(address)) add(address);
  }
  return out;
}

std::vector<PeerInfo> Host::State::peers() {
  std::map<PeerId, PeerInfo> out;
  for (const auto& connection : swarm.connections()) {
    out.try_emplace(connection.peer, connection.peer, connection.remote,
                    connection.direction == swarm::Direction::inbound,
                    swarm.peer_store().agent(connection.peer), env.now() - connection.opened_at);
  }
  std::vector<PeerInfo> list;
  for (auto& [peer, info] : out) list.push_back(std::move(info));
  return list;
}

void Host::State::on_connected(const swarm::ConnectionInfo& connection) {
  if (swarm.connections_to(connection.peer).size() <= 1)
    events.push(PeerConnected{connection.peer, connection.remote});
  // While we ask servers this may be a dial-back: their answers say it better.
  if (connection.direction == swarm::Direction::inbound &&
      !autonat_client.is_probing(connection.peer) && !autonat_v2_client.is_expecting_dial_backs()) {
    reachability.add_inbound_connection(env.now());
    plan_probe();
  }
  const auto remote_ip = connection.remote.is_relayed() ? std::nullopt : connection.remote.ip();
  const bool is_stranger = connection.direction == swarm::Direction::inbound && remote_ip &&
                           classifier.is_usable_by_others(*remote_ip) &&
                           !autonat_v2_client.has_contacted(connection);
  if (is_stranger) feed(host::StrangerConnected{*remote_ip, connection.local});
}

void Host::State::on_disconnected(const swarm::ConnectionInfo& connection, Error reason) {
  if (observed.remove(connection.id)) addresses_changed();
  if (is_connected && !joiner.is_joined()) {
    is_connected = false;
    reachability.set_connected(false);
  }
  if (!swarm.is_connected(connection.peer)) events.push(PeerDisconnected{connection.peer, reason});
}

void Host::State::on_listen_addresses_changed() {
  std::set<Multiaddr> now;
  for (const auto& address : swarm.listen_addresses()) {
    now.insert(address);
    if (!announced_listeners.contains(address)) events.push(Listening{address});
  }
  announced_listeners = std::move(now);
  mapped_ports.set_listeners(swarm.listen_addresses());
  if (is_running) shared_ports->reconsider();
  close_connections_of_lost_addresses();
  addresses_changed();
}

void Host::State::on_identified(const swarm::ConnectionInfo& connection,
                                const identify::Info& info) {
  const bool is_new = info.observed &&
                      observed.add(connection, *info.observed, swarm.listen_addresses(), env.now());
  if (is_new) addresses_changed();
  if (info.protocols) autonat_v2_client.on_identified(connection, *info.protocols);
  feed_servers();
  look_for_stun_servers();
  choose_version();
  autonat_client.reconsider();
  joiner.on_identified(connection.peer);
}

void Host::State::on_inbound_probe(const InboundProbe& probe) {
  events.push(probe);
  if (probe.stage != InboundProbe::Stage::request || !joiner.is_boot_peer(probe.peer)) return;
  if (std::exchange(is_connected, true)) return;
  reachability.set_connected(true);
  events.push(Connected{probe.peer});
}

void Host::State::on_outbound_probe(const OutboundProbe& probe) {
  events.push(probe);
}

void Host::State::on_probe_result(const autonat::ProbeResult& result) {
  feed(host::ServerAnswer{result, joiner.is_boot_peer(result.server)});
  if (result.status == autonat::Status::ok || result.status == autonat::Status::dial_error)
    remember_network();
  // Which addresses are worth telling may change without the status.
  if (is_running) identifier.addresses_changed();
}

void Host::State::judge_mappings(bool are_new) {
  std::vector<IpAddress> seen_at;
  for (const auto& seen : observed.candidates(1)) seen_at.push_back(seen.external.ip);
  auto verdicts = reachability.report(env.now()).addresses;
  // What failed before there was a mapping says nothing of it; who got in will get in.
  if (are_new)
    std::erase_if(verdicts,
                  [](const AddressVerdict& one) { return one.status != Reachability::reachable; });
  mapped_ports.judge(verdicts, std::move(seen_at));
}

void Host::State::on_address_result(const autonat_v2::AddressResult& result) {
  host::DialBack said{result.server, result.server_ip, {}, {}, {}, true, {}};
  said.outcome = host::DialBack::Outcome::no_evidence;
  said.text = result.reason;
  if (result.address) said.address = *result.address;
  if (result.address && result.verdict == Reachability::unreachable)
    said.outcome = host::DialBack::Outcome::not_reached;
  if (result.address && result.verdict == Reachability::reachable) {
    said.outcome = host::DialBack::Outcome::reached;
    said.dialed_from = result.dialed_from;
    said.is_from_known_ip = result.is_from_known_ip || !result.dialed_from;
  }
  feed_servers();
  feed(said);
  if (result.verdict != Reachability::unknown) remember_network();
}

/// The networks that AutoNAT v2 servers are in. At the start also those of boot peers that are only
/// being dialed: the first server that is there shall not be taken for the only one.
void Host::State::feed_servers() {
  std::set<std::string> networks;
  for (const auto& connection : autonat_v2_client.servers())
    if (const auto ip = connection.remote.ip()) networks.insert(witness_network(*ip));
  if (env.now() - started_at < kStart) {
    for (const auto& address : joiner.boot_addresses()) {
      const auto ip = address.ip();
      if (ip && !swarm.is_connected(*address.peer_id())) networks.insert(witness_network(*ip));
    }
  }
  constexpr std::size_t kMostNetworks = 64;
  host::KnownServers known;
  for (const auto& network : networks)
    if (known.networks.size() < kMostNetworks) known.networks.push_back(network);
  if (known == told_servers) return;
  told_servers = known;
  feed(known);
}

host::SharedPorts::Callbacks Host::State::stun_callbacks() {
  return {
      .servers = [this] { return stun_servers(); },
      .on_contact = [this](const IpAddress& ip) { autonat_v2_client.add_contacted_ip(ip, true); },
      .on_word =
          [this](const host::StunWord& word) {
            if (observed.add(word, swarm.listen_addresses(), env.now())) addresses_changed();
          }};
}

std::vector<Endpoint> Host::State::stun_servers() const {
  std::vector<Endpoint> out;
  for (const auto& address : joiner.boot_addresses()) {
    const auto endpoint = address.endpoint();
    const auto peer = address.peer_id();
    if (!address.is_quic_v1() || !endpoint || !peer || !swarm.is_connected(*peer)) continue;
    // Elsewhere something may listen that we have never sent anything to, nor will.
    if (classifier.is_usable_by_others(endpoint->ip)) out.push_back(*endpoint);
  }
  return out;
}

void Host::State::look_for_stun_servers() {
  auto now = stun_servers();
  if (now == told_stun_servers) return;
  told_stun_servers = std::move(now);
  shared_ports->reconsider();
}

/// AutoNAT v1 is for where there is no v2: no server of it, or none with an answer for so long.
void Host::State::choose_version() {
  constexpr Duration kPatience = std::chrono::seconds(10);
  const bool has_v2 = config.autonat_v2.is_client && !autonat_v2_client.servers().empty();
  if (!has_v2) v2_since.reset();
  if (has_v2 && !v2_since) v2_since = env.now();
  const bool is_v1_needed =
      !has_v2 || (!reachability.has_votes() && env.now() - *v2_since > kPatience);
  autonat_client.set_paused(!is_v1_needed);
}

void Host::State::addresses_changed() {
  feed_nat_mappings();
  feed(host::Candidates{candidates()});
  if (!is_running) return;
  autonat_client.reconsider();
  autonat_v2_client.reconsider();
  identifier.addresses_changed();
}

/// Of our candidates those that run over one of `waists`, one each.
std::vector<Multiaddr> Host::State::addresses_over(const std::vector<Multiaddr>& waists) const {
  std::vector<Multiaddr> out;
  if (waists.empty()) return out;
  const auto all = candidates();
  for (const auto& waist : waists) {
    const auto over = [&](const host::CandidateAddress& one) {
      return host::thin_waist(one.address) == waist;
    };
    const auto first = std::ranges::find_if(all, over);
    if (first != all.end()) out.push_back(first->address);
  }
  return out;
}

void Host::State::port_mapping_changed(const host::MappingChanged& change) {
  std::erase_if(port_mappings, [&](const host::MappingChanged& one) {
    return one.is_udp == change.is_udp && one.local_port == change.local_port &&
           one.external.ip.is_v6() == change.external.ip.is_v6();
  });
  if (change.is_gained && port_mappings.size() < portmap::kMaxListeners)
    port_mappings.push_back(change);
  addresses_changed();
  feed(host::Doubt{change.is_gained ? "a port mapping has come" : "a port mapping has gone"});
  if (is_running && change.is_gained) judge_mappings(true);
}

void Host::State::feed_nat_mappings() {
  for (const bool is_v6 : {false, true}) {
    for (const bool is_udp : {false, true}) {
      const auto seen = observed.port_mapping(is_v6, is_udp);
      const host::NatMapping now{is_v6, is_udp, seen.mapping, seen.networks};
      auto& told = told_mappings[{is_v6, is_udp}];
      const bool is_news = told.mapping != now.mapping || told.networks != now.networks;
      told = now;
      if (is_news) feed(now);
    }
  }
}

void Host::State::plan_probe() {
  const auto doubted = addresses_over(reachability.take_doubted());
  if (!doubted.empty()) autonat_v2_client.probe(doubted);
  const auto round = reachability.next_round();
  if (round && round != planned_round) {
    planned_round = round;
    autonat_v2_client.probe_at(*round);
  }
  const auto next = reachability.next_probe();
  if (!next || next == planned_probe) return;
  planned_probe = next;
  autonat_client.probe_at(*next);
}

void Host::State::feed(const host::ReachabilityInput& input) {
  if (!is_running) return;  // That all connections end now says nothing about our addresses.
  const auto change = reachability.take(input, env.now());
  const auto address_changes = reachability.take_address_changes();
  // Time alone changes little, and mostly nothing: then it is not worth a line.
  const bool is_time = std::holds_alternative<host::TimePassed>(input);
  if (!is_time || change || !address_changes.empty()) record(input);
  plan_probe();
  // A mapping that has come meanwhile may stand at an address whose verdict stays as it is.
  const bool is_evidence = std::holds_alternative<host::DialBack>(input) ||
                           std::holds_alternative<host::ServerAnswer>(input) ||
                           std::holds_alternative<host::StrangerConnected>(input);
  if (is_evidence || !address_changes.empty()) judge_mappings(false);
  for (const auto& one : address_changes) events.push(one);
  if (!address_changes.empty()) identifier.addresses_changed();
  if (!change) return;
  log.info("NAT status changed", {{"from", nat_status_name(change->old_status)},
                                  {"to", nat_status_name(change->new_status)},
                                  {"reason", change->reason}});
  events.push(*change);
  if (is_running) identifier.addresses_changed();
}

void Host::State::record(const host::ReachabilityInput& input) {
  if (!config.evidence_sink) return;
  if (!std::exchange(is_recording, true)) config.evidence_sink(std::string(host::kRecordHeader));
  config.evidence_sink(host::to_line({env.now(), input}));
}

}  // namespace pyrsia

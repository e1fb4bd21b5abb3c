#include "protocols/autonat_v2/client.hpp"

#include "base/ip_group.hpp"
#include "protocols/autonat_v2/exchange.hpp"
#include "protocols/autonat_v2/verdict.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::autonat_v2 {
namespace {

bool is_over_udp(const Multiaddr& address) {
  return address.has(Protocol::udp);
}

std::string network_of(const swarm::ConnectionInfo& connection) {
  return witness_network(connection.remote.ip().value_or(IpAddress()));
}

/// In words, for a person.
std::string failure_text(Error error) {
  if (error == Errc::timed_out) return "timeout: no answer from the server";
  if (error == Errc::not_supported) return "the server speaks no AutoNAT v2 after all";
  if (error == Errc::refused) return "the server asked for more dial data than we pay";
  if (error == Errc::closed || error == Errc::reset)
    return "connection closed: the server ended the stream without an answer";
  if (error == Errc::malformed || error == Errc::too_large || error == Errc::protocol_violation)
    return "malformed answer from the server";
  return "failure: " + error.message();
}

}  // namespace

/// Keeps a nonce in the inbox for as long as its probe goes on.
class Client::Expecting {
 public:
  Expecting(Client& client, std::uint64_t nonce)
      : client_(client), nonce_(nonce), arrived_(client.env_.executor()) {
    client_.inbox_.expect(nonce, [this] { arrived_.notify(); });
  }
  Expecting(const Expecting&) = delete;
  Expecting& operator=(const Expecting&) = delete;
  ~Expecting() { client_.inbox_.forget(nonce_); }

  const ArrivedDialBack* dial_back() const { return client_.inbox_.arrived(nonce_); }
  Task<> wait() { return arrived_.wait(); }

 private:
  Client& client_;
  std::uint64_t nonce_;
  Event arrived_;
};

Client::Client(swarm::Swarm& swarm, const ClientConfig& config, Addresses addresses,
               autonat_v2::Observer& observer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      addresses_(std::move(addresses)),
      observer_(observer),
      log_(log),
      woken_(env_.executor()),
      tasks_(env_) {
  swarm_.add_observer(*this);
}

Client::~Client() {
  swarm_.remove_observer(*this);
}

void Client::start() {
  swarm::ProtocolLimits limits;
  limits.streams = kMaxDialBackStreams;
  limits.streams_of_one_peer = kMaxDialBackStreamsOfOnePeer;
  swarm_.handle(std::string(kDialBackProtocol), limits, [this](swarm::IncomingStream incoming) {
    return take_dial_back(std::move(incoming));
  });
  next_round_at_ = env_.now() + config_.refresh_interval;
  tasks_.spawn(run());
}

Task<> Client::stop() {
  tasks_.cancel();
  co_return co_await tasks_.join();
}

void Client::reconsider() {
  woken_.notify();
}

void Client::probe(const std::vector<Multiaddr>& addresses) {
  for (const auto& address : addresses) {
    const auto bare = address.without_peer();
    if (!wanted_.contains(bare) && wanted_.size() >= config_.max_tracked_addresses) continue;
    wanted_[bare] = {config_.first_probes, env_.now(), 0, TimePoint()};
  }
  woken_.notify();
}

void Client::probe_at(TimePoint at) {
  next_round_at_ = at;
  woken_.notify();
}

bool Client::is_probing(const PeerId& peer) const {
  const auto at = servers_.find(peer);
  return at != servers_.end() && !at->second.probing.empty();
}

void Client::on_identified(const swarm::ConnectionInfo& connection,
                           const std::vector<std::string>& protocols) {
  if (!is_alive(connection)) return;  // What was said last can be heard after the end.
  const bool is_served = std::ranges::find(protocols, kDialRequestProtocol) != protocols.end();
  const auto said = is_served ? Service::requests : Service::none;
  auto& service = services_.try_emplace(connection.id, said).first->second;
  if (service != Service::dial_back) service = said;
  woken_.notify();
}

std::vector<swarm::ConnectionInfo> Client::servers() const {
  std::vector<swarm::ConnectionInfo> out;
  for (auto& connection : swarm_.connections()) {
    if (!can_ask_on(connection)) continue;
    const auto same = std::ranges::find(out, connection.peer, &swarm::ConnectionInfo::peer);
    if (same == out.end())
      out.push_back(std::move(connection));
    else if (same->direction == swarm::Direction::inbound)
      *same = std::move(connection);  // One that came in may be there for a dial-back only.
  }
  return out;
}

void Client::on_dialing(const Multiaddr& address) {
  if (const auto endpoint = address.endpoint())
    contacted_.add(*endpoint, is_over_udp(address), env_.now());
  else if (const auto ip = address.ip())
    contacted_.add(*ip, is_over_udp(address), env_.now());
}

void Client::on_connected(const swarm::ConnectionInfo& connection) {
  // One that came in is noted when it ends: until then a dial-back may be on it.
  if (connection.direction == swarm::Direction::outbound) on_dialing(connection.remote);
}

void Client::on_disconnected(const swarm::ConnectionInfo& connection, Error) {
  services_.erase(connection.id);
  const auto server = servers_.find(connection.peer);
  if (server != servers_.end() && !is_local_address_there(connection)) {
    server->second.failures = 0;  // What failed meanwhile failed by us.
    server->second.not_before = TimePoint();
    woken_.notify();
  }
  // The port of one that came in is another the next time.
  const auto ip = connection.remote.is_relayed() ? std::nullopt : connection.remote.ip();
  if (ip) contacted_.add(*ip, is_over_udp(connection.remote), env_.now());
}

Task<> Client::run() {
  for (;;) {
    const auto wait = std::max(next_turn() - env_.now(), Duration(0));
    const auto woken = co_await with_timeout(env_, wait, woken_.wait());
    if (!woken && woken.error() == Errc::cancelled) co_return woken.error();
    tick();
  }
}

void Client::tick() {
  forget_strangers();
  const auto addresses = usable_addresses();
  update_wanted(addresses);
  if (env_.now() >= next_round_at_) {
    next_round_at_ = env_.now() + config_.refresh_interval;
    for (auto& [address, wish] : wanted_) wish.count = std::max<std::size_t>(wish.count, 1);
  }
  // In turns, so that each address has its first answer before another has its second.
  for (bool is_any_asked = true; is_any_asked;) {
    is_any_asked = false;
    for (const auto& address : addresses) {
      if (probing_count_ >= config_.max_parallel) return;
      auto& wish = wanted_[address];
      if (wish.count == 0 || env_.now() < wish.rests_until) continue;
      const auto server = choose_server(address);
      if (!server) continue;
      is_any_asked = true;
      --wish.count;
      start_probe(*server, address, addresses);
    }
  }
}

void Client::update_wanted(const std::vector<Multiaddr>& addresses) {
  std::erase_if(wanted_, [&](const auto& entry) {
    return std::ranges::find(addresses, entry.first) == addresses.end();
  });
  for (const auto& address : addresses) {
    const Wish first{config_.first_probes, TimePoint(), 0, TimePoint()};
    wanted_.try_emplace(address, first);
  }
}

TimePoint Client::next_turn() const {
  auto next = next_round_at_;
  const auto now = env_.now();
  for (const auto& [address, wish] : wanted_) {
    if (wish.count == 0) continue;
    // Who could be asked now, is: only pauses that end later matter.
    for (const auto& [peer, server] : servers_) {
      const auto asked = server.asked.find(address);
      auto at = std::max(server.not_before, wish.rests_until);
      if (asked != server.asked.end()) at = std::max(at, asked->second + config_.throttle);
      const bool is_busy = server.probing.contains(is_over_udp(address));
      if (!is_busy && at > now) next = std::min(next, at);
    }
  }
  return next;
}

std::optional<swarm::ConnectionInfo> Client::choose_server(const Multiaddr& address) {
  // Another opinion is worth more than the same one again. Peer ids cost nothing: those of one
  // network are one opinion, and must not keep others from being asked.
  std::map<std::string, TimePoint> tried;
  for (const auto& [peer, server] : servers_) {
    const auto at = server.tried.find(address);
    if (at == server.tried.end()) continue;
    auto& last = tried.try_emplace(server.network, at->second).first->second;
    last = std::max(last, at->second);
  }
  std::map<std::string, std::vector<swarm::ConnectionInfo>> fresh;  // By network: least lately.
  TimePoint least = TimePoint::max();
  for (const auto& connection : servers()) {
    if (!may_ask(connection.peer, address)) continue;
    const auto network = network_of(connection);
    const auto at = tried.find(network);
    const auto last = at == tried.end() ? TimePoint::min() : at->second;
    if (last > least) continue;
    if (last < least) fresh.clear();
    least = last;
    fresh[network].push_back(connection);
  }
  if (fresh.empty()) return std::nullopt;
  const auto network = std::next(fresh.begin(), std::ptrdiff_t(env_.random_below(fresh.size())));
  return least_asked(std::move(network->second), address);
}

swarm::ConnectionInfo Client::least_asked(std::vector<swarm::ConnectionInfo> among,
                                          const Multiaddr& address) {
  const auto asked_at = [&](const swarm::ConnectionInfo& connection) {
    const auto server = servers_.find(connection.peer);
    if (server == servers_.end()) return TimePoint::min();
    const auto at = server->second.asked.find(address);
    return at == server->second.asked.end() ? TimePoint::min() : at->second;
  };
  const auto least = std::ranges::min(among, {}, asked_at);
  std::erase_if(among, [&](const auto& one) { return asked_at(one) > asked_at(least); });
  return among[env_.random_below(among.size())];
}

bool Client::can_ask_on(const swarm::ConnectionInfo& connection) const {
  if (connection.remote.is_relayed()) return false;
  if (!swarm_.classifier().is_usable_by_others(connection.remote)) return false;
  const auto known = services_.find(connection.id);
  if (known != services_.end()) return known->second == Service::requests;
  return swarm_.peer_store().supports(connection.peer, kDialRequestProtocol);
}

bool Client::may_ask(const PeerId& peer, const Multiaddr& address) const {
  const auto at = servers_.find(peer);
  if (at == servers_.end()) return servers_.size() < config_.max_servers;
  const auto& server = at->second;
  // One of a kind at a time: a server that keeps one connection for both would prove nothing by it.
  if (server.probing.contains(is_over_udp(address)) || env_.now() < server.not_before) return false;
  const auto asked = server.asked.find(address);
  if (asked == server.asked.end() || env_.now() >= asked->second + config_.throttle) return true;
  const auto wish = wanted_.find(address);
  return wish != wanted_.end() && asked->second < wish->second.triggered_at;
}

void Client::start_probe(const swarm::ConnectionInfo& connection, const Multiaddr& address,
                         const std::vector<Multiaddr>& all) {
  // The others are for a server that cannot dial the first. None of another kind, as about that
  // it may be asked at the same time.
  std::vector<Multiaddr> addresses{address};
  auto& server = servers_[connection.peer];
  server.network = network_of(connection);
  for (const auto& other : all)
    if (!server.is_picky && other != address && is_over_udp(other) == is_over_udp(address) &&
        may_ask(connection.peer, other))
      addresses.push_back(other);
  std::uint64_t nonce = 0;
  while (nonce == 0) nonce = random_nonce();
  server.probing.insert(is_over_udp(address));
  server.asked[address] = server.tried[address] = env_.now();
  ++probing_count_;
  metrics_.probes.add();
  Probe probe{connection, fitting_request(addresses, nonce), env_.now()};
  tasks_.spawn(probe_server(std::move(probe)));
}

std::uint64_t Client::random_nonce() {
  std::array<std::uint8_t, 8> bytes;
  env_.random(bytes);
  std::uint64_t nonce = 0;
  for (const auto byte : bytes) nonce = nonce << 8 | byte;
  return nonce;
}

Task<> Client::probe_server(Probe probe) {
  OutboundProbe begin;
  begin.server = probe.server.peer;
  observer_.on_outbound_probe(begin);
  PYRSIA_CO_TRY(const auto result, co_await learn(probe));
  ended(probe, result);
  co_return ok;
}

Task<AddressResult> Client::learn(Probe probe) {
  Expecting expecting(*this, probe.request.nonce);
  auto asking = ask(probe);
  const auto response = co_await with_timeout(env_, config_.probe_timeout, std::move(asking));
  if (!response && response.error() == Errc::cancelled) co_return response.error();
  const bool is_proof_due = response && response->status == ResponseStatus::ok &&
                            response->dial_status != DialStatus::dial_error;
  if (is_proof_due && !expecting.dial_back()) {
    const auto waited = co_await with_timeout(env_, config_.nonce_wait, expecting.wait());
    if (!waited && waited.error() == Errc::cancelled) co_return waited.error();
  }
  co_return result_of(probe, response, expecting.dial_back());
}

Task<DialResponse> Client::ask(Probe probe) {
  const std::string protocol(kDialRequestProtocol);
  auto opening = swarm_.open_stream_on(probe.server.id, protocol);
  PYRSIA_CO_TRY(const auto stream, co_await std::move(opening));
  std::uint64_t paid_bytes = 0;
  auto asking = request(*stream, std::move(probe.request), config_.max_dial_data_bytes, paid_bytes);
  const auto response = co_await std::move(asking);
  metrics_.dial_data_bytes.add(paid_bytes);
  co_return response;
}

AddressResult Client::result_of(const Probe& probe, const Result<DialResponse>& response,
                                const ArrivedDialBack* dial_back) const {
  AddressResult result(probe.server.peer);
  result.server_ip = probe.server.remote.ip();
  result.asked = probe.request.addresses;
  result.at = env_.now();
  if (dial_back) {
    result.dialed_from = dial_back->connection.remote.ip();
    result.is_from_known_ip = dial_back->is_from_known_ip;
  }
  if (!response) {
    result.reason = failure_text(response.error());
    return result;
  }
  result.response_status = response->status;
  if (response->status == ResponseStatus::ok) result.dial_status = response->dial_status;
  const Asked asked{probe.request, probe.server.id, probe.begin, env_.interface_addresses()};
  auto proof = prove(asked, *response, dial_back);
  result.address = std::move(proof.address);
  result.verdict = proof.verdict;
  result.reason = std::move(proof.reason);
  return result;
}

void Client::ended(const Probe& probe, const AddressResult& result) {
  auto& server = servers_[probe.server.peer];
  server.probing.erase(is_over_udp(probe.request.addresses.front()));
  --probing_count_;
  const bool is_refusal = result.response_status && *result.response_status != ResponseStatus::ok &&
                          *result.response_status != ResponseStatus::internal_error;
  const auto& first = probe.request.addresses.front();
  if (result.address && *result.address != first) {
    server.is_picky = true;
    server.asked.erase(first);
    server.asked[*result.address] = probe.begin;
  }
  if (result.verdict != Reachability::unknown) {
    server.failures = 0;
  } else if (!is_refusal) {
    // It has not been asked, as it were: only the pause holds it back, or the only server there is
    // would be left alone for as long as one that has answered.
    server.asked.erase(first);
    // A connection that went with an address of ours was not the server's to keep.
    if (is_alive(probe.server) || is_local_address_there(probe.server))
      server.not_before = env_.now() + back_off(server.failures++);
  }
  if (is_worth_another(server, first, result)) {
    server.asked.erase(first);
    server.asked_again[first] = env_.now();
    const auto wish = wanted_.find(first);
    if (wish != wanted_.end()) ++wish->second.count;
  }
  settle(first, result, is_refusal);
  count(result, is_refusal);
  report(result);
  woken_.notify();
}

/// It had somebody dial whom we have written to since it asked: what came in says little, and by
/// now that one knows us, so that the next one is asked instead.
bool Client::is_worth_another(Server& server, const Multiaddr& first,
                              const AddressResult& result) const {
  const bool was_helped = result.dialed_from && result.dialed_from != result.server_ip;
  if (result.verdict != Reachability::reachable || !result.is_from_known_ip || !was_helped)
    return false;
  const auto again = server.asked_again.find(first);
  return result.address == first &&
         (again == server.asked_again.end() || env_.now() >= again->second + config_.throttle);
}

void Client::settle(const Multiaddr& first, const AddressResult& result, bool is_refusal) {
  const bool is_about_first = result.address == first;
  if (result.verdict != Reachability::unknown && !is_about_first) {
    const auto other = wanted_.find(*result.address);
    if (other != wanted_.end() && other->second.count > 0) --other->second.count;
  }
  const auto at = wanted_.find(first);
  if (at == wanted_.end()) return;
  auto& wish = at->second;
  wish.refusals = is_refusal ? wish.refusals + 1 : 0;
  if (wish.refusals >= config_.max_refusals) {
    wish.refusals = 0;
    wish.rests_until = env_.now() + config_.refusal_rest;
  }
  // What has not been learned is to be asked of another.
  if (result.verdict == Reachability::unknown || !is_about_first) ++wish.count;
}

void Client::count(const AddressResult& result, bool is_refusal) {
  if (result.verdict == Reachability::reachable)
    metrics_.reachable.add();
  else if (result.verdict == Reachability::unreachable)
    metrics_.unreachable.add();
  else if (is_refusal)
    metrics_.refused.add();
  else
    (result.dial_status ? metrics_.unproven : metrics_.failed).add();
}

void Client::report(const AddressResult& result) {
  log_.debug("address probed", {{"reason", result.reason}});
  observer_.on_address_result(result);
  OutboundProbe end;
  end.server = result.server;
  end.stage = OutboundProbe::Stage::error;
  end.reason = result.reason;
  if (result.verdict == Reachability::reachable) {
    end.stage = OutboundProbe::Stage::response;
    end.address = result.address;
    end.reason.clear();
  }
  observer_.on_outbound_probe(end);
}

Task<> Client::take_dial_back(swarm::IncomingStream incoming) {
  auto& stream = *incoming.stream;
  auto receiving = receive_nonce(stream);
  const auto nonce = co_await with_timeout(env_, config_.dial_back_timeout, std::move(receiving));
  if (!nonce) {
    stream.reset(ResetCode::protocol_violation);
    co_return nonce.error();
  }
  ArrivedDialBack arrived{incoming.connection, has_contacted(incoming.connection),
                          is_by_open_way(incoming.connection)};
  if (!inbox_.take(*nonce, std::move(arrived))) {
    metrics_.unknown_nonces.add();
    stream.reset();  // The stream only: who sends it may be a peer like any other.
    co_return ok;
  }
  metrics_.dial_backs.add();
  note_dial_back(incoming.connection);
  auto confirming = confirm_nonce(stream);
  co_return co_await with_timeout(env_, config_.dial_back_timeout, std::move(confirming));
}

void Client::note_dial_back(const swarm::ConnectionInfo& connection) {
  // One that we dialed is the server's other connection, used for a nonce against all rules.
  if (connection.direction == swarm::Direction::outbound) return;
  if (is_alive(connection)) services_[connection.id] = Service::dial_back;
}

bool Client::is_alive(const swarm::ConnectionInfo& connection) const {
  const auto alive = swarm_.connections_to(connection.peer);
  return std::ranges::find(alive, connection.id, &swarm::ConnectionInfo::id) != alive.end();
}

bool Client::has_contacted(const swarm::ConnectionInfo& connection) const {
  const auto ip = connection.remote.ip();
  const bool is_udp = is_over_udp(connection.remote);
  if (!ip || contacted_.contains(*ip, is_udp, env_.now())) return true;
  return std::ranges::any_of(swarm_.connections(), [&](const swarm::ConnectionInfo& each) {
    const auto other = each.remote.is_relayed() ? std::nullopt : each.remote.ip();
    const bool came_in_likewise =
        each.direction == swarm::Direction::inbound && each.local == connection.local;
    return !came_in_likewise && other && other->unmapped() == ip->unmapped() &&
           is_over_udp(each.remote) == is_udp;
  });
}

bool Client::is_by_open_way(const swarm::ConnectionInfo& connection) const {
  const auto remote = connection.remote.endpoint();
  if (!remote || !is_over_udp(connection.remote)) return false;  // By TCP there is one of each way.
  if (contacted_.contains(*remote, true, env_.now())) return true;
  return std::ranges::any_of(swarm_.connections(), [&](const swarm::ConnectionInfo& each) {
    return each.id != connection.id && is_over_udp(each.remote) && each.remote.endpoint() == remote;
  });
}

std::vector<Multiaddr> Client::usable_addresses() const {
  std::vector<Multiaddr> out;
  for (const auto& address : addresses_()) {
    if (out.size() >= config_.max_tracked_addresses) break;
    const auto bare = address.without_peer();
    if (!bare.ip() || bare.port().value_or(0) == 0) continue;
    if (!swarm_.classifier().is_usable_by_others(bare)) continue;
    if (std::ranges::find(out, bare) == out.end()) out.push_back(bare);
  }
  return out;
}

void Client::forget_strangers() {
  const auto now = env_.now();
  const auto is_old = [&](const auto& entry) {
    return now - entry.second >= std::max(config_.throttle, kMemory);
  };
  for (auto& [peer, server] : servers_) {
    std::erase_if(server.asked, is_old);
    std::erase_if(server.asked_again, is_old);
    std::erase_if(server.tried, is_old);
  }
  std::erase_if(servers_, [&](const auto& entry) {
    const auto& server = entry.second;
    return server.probing.empty() && server.asked.empty() && now >= server.not_before &&
           !swarm_.is_connected(entry.first);
  });
}

bool Client::is_local_address_there(const swarm::ConnectionInfo& connection) const {
  const auto ip = connection.local.ip();
  if (!ip || ip->is_loopback()) return true;
  return std::ranges::any_of(env_.interface_addresses(),
                             [&](const InterfaceAddress& each) { return each.ip == *ip; });
}

Duration Client::back_off(int failures) {
  const auto doubled = config_.min_back_off * (std::int64_t(1) << std::min(failures, 16));
  const auto pause = std::min<Duration>(doubled, config_.max_back_off);
  // Between three and five quarters of it, so that nodes that lost the same server part ways.
  const auto half = static_cast<std::uint64_t>(pause.count() / 2);
  return pause * 3 / 4 + Duration(static_cast<std::int64_t>(env_.random_below(half + 1)));
}

}  // namespace pyrsia::autonat_v2

#include "host/joiner.hpp"

#include "base/in_words.hpp"

#include <algorithm>

namespace pyrsia {

namespace {

/// "/ip4/…/tcp/…/p2p/…", of more than one address the first and how many others.
std::string text_of(const bootstrap::BootPeer& peer) {
  if (peer.addresses.empty()) return peer.peer.to_string();
  auto text = peer.addresses.front().with_peer(peer.peer).to_string();
  if (peer.addresses.size() > 1)
    text += " (nor at " + std::to_string(peer.addresses.size() - 1) + " more)";
  return text;
}

std::vector<Multiaddr> addresses_by(bool is_udp, const std::vector<Multiaddr>& all) {
  std::vector<Multiaddr> out;
  for (const auto& address : all)
    if (!address.is_relayed() && address.has(Protocol::udp) == is_udp) out.push_back(address);
  return out;
}

/// Each of `addresses` has a peer id: validate() has seen to it.
std::vector<bootstrap::BootPeer> by_peer(const std::vector<Multiaddr>& addresses) {
  std::vector<bootstrap::BootPeer> out;
  for (const auto& address : addresses) {
    const auto peer = *address.peer_id();
    auto same = std::ranges::find(out, peer, &bootstrap::BootPeer::peer);
    if (same == out.end()) same = out.insert(same, bootstrap::BootPeer{peer, {}});
    same->addresses.push_back(address.without_peer());
  }
  return out;
}

}  // namespace

Joiner::Joiner(swarm::Swarm& swarm, JoinerConfig config, bootstrap::Client* client,
               Callbacks callbacks, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(std::move(config)),
      client_(client),
      callbacks_(std::move(callbacks)),
      log_(log),
      changed_(env_.executor()),
      dials_(env_),
      tasks_(env_) {
  swarm_.add_observer(*this);
}

Joiner::~Joiner() {
  swarm_.remove_observer(*this);
}

void Joiner::start() {
  for (const auto& configured : by_peer(config_.peers)) tasks_.spawn(keep_connected(configured));
  if (client_) tasks_.spawn(follow_documents());
}

Task<> Joiner::stop() {
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  dials_.cancel();
  PYRSIA_CO_TRY(co_await dials_.join());
  if (client_) co_return co_await client_->stop();
  co_return ok;
}

void Joiner::on_connected(const swarm::ConnectionInfo&) {
  changed_.notify();
}

void Joiner::on_disconnected(const swarm::ConnectionInfo& connection, Error) {
  changed_.notify();
  // Whoever is still there by the other kind is not dialed by anybody else. One that lets go of us
  // at once is left alone.
  const bool had_settled = env_.now() - connection.opened_at >= config_.settle_time;
  if (!config_.wants_both_kinds || !had_settled || connection.remote.is_relayed()) return;
  if (is_boot_peer(connection.peer) && swarm_.is_connected(connection.peer))
    dials_.spawn(connect_again_by(connection.remote.has(Protocol::udp), connection.peer));
}

Task<> Joiner::connect_again_by(bool is_udp, PeerId peer) {
  PYRSIA_CO_TRY(co_await env_.sleep_for(config_.min_delay));
  bootstrap::BootPeer known{peer, swarm_.peer_store().addresses(peer, env_.now())};
  co_return co_await connect_by(is_udp, std::move(known));
}

Task<> Joiner::keep_connected(bootstrap::BootPeer configured) {
  const auto peer = configured.peer;
  auto delay = config_.min_delay;
  for (;;) {
    const auto dialed = co_await dial(configured);
    if (!dialed && dialed.error() == Errc::cancelled) co_return dialed.error();
    // A poll, not an event: some configured peers a second cost nothing and miss nothing.
    while (swarm_.is_connected(peer)) {
      if (is_settled(peer)) delay = config_.min_delay;
      PYRSIA_CO_TRY(co_await env_.sleep_for(config_.min_delay));
    }
    const auto jitter = Duration(env_.random_below(std::uint64_t(delay.count())));
    PYRSIA_CO_TRY(co_await env_.sleep_for(delay / 2 + jitter / 2));
    delay = std::min(2 * delay, config_.max_delay);
  }
}

Task<> Joiner::follow_documents() {
  for (;;) {
    metrics_.rounds.add();
    if (connected_count() == 0) PYRSIA_CO_TRY(co_await dial_known());
    auto fetched = co_await client_->fetch();
    if (!fetched && fetched.error() == Errc::cancelled) co_return fetched.error();
    if (fetched) {
      known_ = *fetched;
      start_round(*std::move(fetched));
    }
    PYRSIA_CO_TRY(co_await wait_for_round());
    std::string what = "not joined yet";
    if (connected_count() > 0) {
      metrics_.joined.add();
      const auto joined_at = env_.now();
      PYRSIA_CO_TRY(co_await wait_until_alone());
      // Servers that let go of us at once are no better than those that do not answer.
      if (env_.now() - joined_at >= config_.settle_time) client_->joined();
      what = "lost all boot peers";
    } else {
      metrics_.failed.add();
    }
    const auto delay = client_->next_delay();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(delay).count();
    tell(BootstrapProgress::Stage::waiting,
         what + "; next try in " + std::to_string(seconds) + " s");
    PYRSIA_CO_TRY(co_await env_.sleep_for(delay));
  }
}

Task<> Joiner::dial_known() {
  if (known_.empty()) {
    auto cached = co_await client_->cached();
    if (!cached && cached.error() == Errc::cancelled) co_return cached.error();
    if (cached) known_ = *std::move(cached);
  }
  if (!known_.empty()) start_round(known_);  // Not waited for: the documents are fetched meanwhile.
  co_return ok;
}

void Joiner::start_round(std::vector<bootstrap::BootPeer> peers) {
  ++round_;
  queue_.clear();
  for (auto& peer : peers) queue_.push_back(std::move(peer));
  const auto count = std::min(config_.wanted_boot_peers, queue_.size());
  for (std::size_t i = 0; i < count; ++i) {
    ++dialing_count_;
    dials_.spawn(dial_queued(round_));
  }
}

Task<> Joiner::dial_queued(std::uint64_t round) {
  // Leaves the queue alone once a later round has filled it.
  while (round == round_ && !queue_.empty()) {
    auto peer = std::move(queue_.front());
    queue_.pop_front();
    const auto dialed = co_await dial(std::move(peer));
    if (!dialed && dialed.error() == Errc::cancelled) co_return dialed.error();
    if (dialed) break;
  }
  --dialing_count_;
  changed_.notify();
  co_return ok;
}

Task<> Joiner::dial(bootstrap::BootPeer peer) {
  if (boot_peers_.size() >= config_.max_boot_peers)
    std::erase_if(boot_peers_, [&](const PeerId& one) { return !swarm_.is_connected(one); });
  if (boot_peers_.size() < config_.max_boot_peers) boot_peers_.insert(peer.peer);
  constexpr std::size_t kMostAddresses = 64;
  for (const auto& address : peer.addresses) {
    const auto whole = address.with_peer(peer.peer);
    std::erase(boot_addresses_, whole);
    boot_addresses_.push_back(whole);
  }
  if (boot_addresses_.size() > kMostAddresses)
    boot_addresses_.erase(boot_addresses_.begin(), boot_addresses_.end() - kMostAddresses);
  callbacks_.on_boot_peer(peer);
  if (swarm_.is_connected(peer.peer)) co_return ok;
  tell(BootstrapProgress::Stage::connecting, "connecting to boot peer " + peer.peer.to_string());
  const auto connected = co_await connect(peer);
  if (!connected) {
    if (connected.error() != Errc::cancelled) {
      tell(BootstrapProgress::Stage::failed, "cannot reach boot peer " + text_of(peer) + ": " +
                                                 std::string(in_words(connected.error())));
    }
    co_return connected.error();
  }
  if (client_) client_->confirm(peer.peer, connected->remote);
  tell(BootstrapProgress::Stage::connected,
       "connected to boot peer " + connected->remote.with_peer(peer.peer).to_string());
  co_return ok;
}

Task<swarm::ConnectionInfo> Joiner::connect(bootstrap::BootPeer peer) {
  swarm::DialRequest request{.peer = peer.peer, .addresses = peer.addresses};
  const auto by_udp = addresses_by(true, peer.addresses);
  const auto by_tcp = addresses_by(false, peer.addresses);
  if (config_.wants_both_kinds && !by_udp.empty() && !by_tcp.empty()) {
    // Side by side, so that neither verdict waits for the other's connection.
    dials_.spawn(connect_by(true, peer));
    request.addresses = by_tcp;
    request.is_only_these = true;
  }
  auto connected = co_await swarm_.connect(std::move(request));
  if (connected || connected.error() == Errc::cancelled) co_return connected;
  const auto others = swarm_.connections_to(peer.peer);
  if (!others.empty()) co_return others.front();
  co_return connected;
}

void Joiner::on_identified(const PeerId& peer) {
  if (!config_.wants_both_kinds || !is_boot_peer(peer)) return;
  const bootstrap::BootPeer known{peer, swarm_.peer_store().addresses(peer, env_.now())};
  for (const bool is_udp : {false, true}) dials_.spawn(connect_by(is_udp, known));
}

Task<> Joiner::connect_by(bool is_udp, bootstrap::BootPeer peer) {
  auto addresses = addresses_by(is_udp, peer.addresses);
  if (addresses.empty() || is_connected_by(is_udp, peer.peer)) co_return ok;
  const std::pair key(is_udp, peer.peer);
  if (!connecting_by_.insert(key).second) co_return ok;
  swarm::DialRequest request{.peer = peer.peer, .addresses = std::move(addresses)};
  request.is_only_these = true;
  request.is_new_connection = true;
  const auto connected = co_await swarm_.connect(std::move(request));
  connecting_by_.erase(key);
  if (connected && client_) client_->confirm(peer.peer, connected->remote);
  co_return ok;
}

bool Joiner::is_connected_by(bool is_udp, const PeerId& peer) const {
  return std::ranges::any_of(swarm_.connections_to(peer), [&](const auto& connection) {
    return !connection.remote.is_relayed() && connection.remote.has(Protocol::udp) == is_udp;
  });
}

Task<> Joiner::wait_for_round() {
  while (connected_count() == 0 && dialing_count_ > 0) PYRSIA_CO_TRY(co_await changed_.wait());
  co_return ok;
}

Task<> Joiner::wait_until_alone() {
  while (connected_count() > 0) PYRSIA_CO_TRY(co_await changed_.wait());
  co_return ok;
}

bool Joiner::is_settled(const PeerId& peer) const {
  const auto connections = swarm_.connections_to(peer);
  return std::ranges::any_of(connections, [&](const swarm::ConnectionInfo& connection) {
    return env_.now() - connection.opened_at >= config_.settle_time;
  });
}

std::size_t Joiner::connected_count() const {
  return std::size_t(std::ranges::count_if(
      boot_peers_, [this](const PeerId& peer) { return swarm_.is_connected(peer); }));
}

void Joiner::tell(BootstrapProgress::Stage stage, std::string text) {
  log_.debug("bootstrap", {{"what", text}});
  callbacks_.on_progress({stage, std::move(text)});
}

}  // namespace pyrsia

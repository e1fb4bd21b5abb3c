#include "swarm/connections.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::swarm {

void LiveConnection::on_stream(std::unique_ptr<Stream> stream) {
  owner_.take_stream_(*this, std::move(stream));
}

ConnectionUse::ConnectionUse(LiveConnection& connection) : connection_(&connection) {
  ++connection.users_;
}

ConnectionUse::ConnectionUse(ConnectionUse&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

ConnectionUse::~ConnectionUse() {
  // The task that serves it is a user too, so the last one goes after the end.
  if (connection_ && --connection_->users_ == 0) delete connection_;
}

/// Takes the connection out of the lists however its task ends, also if it is cancelled before it
/// has begun.
struct Connections::Serving {
  explicit Serving(LiveConnection& connection) : use(connection) {}
  Serving(Serving&& other) noexcept
      : use(std::move(other.use)), reason(other.reason), is_moved(other.is_moved) {
    other.is_moved = true;
  }
  Serving& operator=(Serving&&) = delete;
  ~Serving() {
    if (!is_moved) use->owner_.ended(*use, reason);
  }

  ConnectionUse use;
  Error reason = Errc::cancelled;
  bool is_moved = false;
};

Connections::Connections(Shared& shared, Notifier& notifier)
    : shared_(shared), notifier_(notifier), emptied_(shared.env.executor()), tasks_(shared.env) {}

bool Connections::has_room(const std::optional<PeerId>& peer) const {
  if (by_id_.size() >= shared_.config.max_connections) return false;
  if (!peer) return true;
  const auto found = by_peer_.find(*peer);
  return found == by_peer_.end() ||
         found->second.size() < shared_.config.max_connections_of_one_peer;
}

bool Connections::has_room_for(const IpAddress& ip) const {
  return by_ip_.of(ip) < shared_.config.max_connections_of_one_ip;
}

Result<ConnectionInfo> Connections::adopt(transport::Connection connection, Direction direction) {
  if (is_stopping_) return Errc::closed;
  if (direction == Direction::inbound) {
    const auto ip = connection.remote.ip();
    if (!has_room(connection.peer) || (ip && !has_room_for(*ip))) {
      shared_.metrics.connections_refused.add();
      return Errc::limit_reached;
    }
  }
  ConnectionInfo info{.id = ++last_id_,
                      .peer = std::move(connection.peer),
                      .peer_key = std::move(connection.peer_key),
                      .direction = direction,
                      .local = std::move(connection.local),
                      .remote = std::move(connection.remote),
                      .is_port_shared = connection.is_port_shared,
                      .security = std::move(connection.security),
                      .muxer_protocol = std::move(connection.muxer_protocol),
                      .opened_at = shared_.env.now()};
  auto* live = new LiveConnection(*this, info, std::move(connection.muxer));
  Serving serving(*live);  // From here on it belongs to its users.
  by_id_.emplace(info.id, live);
  by_peer_[info.peer].push_back(live);
  if (const auto ip = info.remote.ip()) by_ip_.add(*ip);
  shared_.peer_store.pin(info.peer, true);
  if (live->muxer->is_confirmed()) {
    announce(*live);
  } else {
    ConnectionUse use(*live);
    tasks_.spawn(announce_once_confirmed(std::move(use)));
  }
  tasks_.spawn(serve(std::move(serving)));
  return info;
}

Task<> Connections::announce_once_confirmed(ConnectionUse use) {
  PYRSIA_CO_TRY(co_await use->muxer->wait_confirmed());
  if (find(use->info.id)) announce(*use);
  co_return ok;
}

void Connections::announce(LiveConnection& connection) {
  connection.is_announced = true;
  notifier_.connected(connection.info);
}

Task<ConnectionInfo> Connections::wait_confirmed(ConnectionUse use) {
  if (!use->muxer->is_confirmed()) {
    auto confirmed = use->muxer->wait_confirmed();
    PYRSIA_CO_TRY(
        co_await with_timeout(shared_.env, shared_.config.dial_timeout, std::move(confirmed)));
  }
  co_return use->info;
}

Task<> Connections::serve(Serving serving) {
  const auto end = co_await serving.use->muxer->run(*serving.use);
  serving.reason = end ? make_error_code(Errc::closed) : end.error();
  co_return end;
}

void Connections::ended(LiveConnection& connection, Error reason) noexcept {
  connection.is_closing = true;
  by_id_.erase(connection.info.id);
  const auto of_peer = by_peer_.find(connection.info.peer);
  std::erase(of_peer->second, &connection);
  if (of_peer->second.empty()) by_peer_.erase(of_peer);
  if (const auto ip = connection.info.remote.ip()) by_ip_.remove(*ip);
  shared_.peer_store.pin(connection.info.peer, false);
  shared_.log.debug("connection ended", {{"connection", connection.info.id}, {"reason", reason}});
  if (connection.is_announced) notifier_.disconnected(connection.info, reason);
  if (by_id_.empty()) emptied_.notify();
}

LiveConnection* Connections::find(ConnectionId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

LiveConnection* Connections::best(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return nullptr;
  const auto open = std::ranges::find(found->second, false, &LiveConnection::is_closing);
  return open == found->second.end() ? nullptr : *open;
}

std::vector<ConnectionInfo> Connections::all() const {
  std::vector<ConnectionInfo> infos;
  infos.reserve(by_id_.size());
  for (const auto& [id, connection] : by_id_) infos.push_back(connection->info);
  std::ranges::sort(infos, {}, &ConnectionInfo::id);
  return infos;
}

std::vector<ConnectionInfo> Connections::all_to(const PeerId& peer) const {
  std::vector<ConnectionInfo> infos;
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return infos;
  for (const auto* connection : found->second) infos.push_back(connection->info);
  return infos;
}

void Connections::close(LiveConnection& connection) noexcept {
  connection.is_closing = true;
  connection.muxer->close(mux::GoAway::normal);
}

void Connections::close_all_to(const PeerId& peer) noexcept {
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return;
  const auto connections = found->second;
  for (auto* connection : connections) close(*connection);
}

void Connections::tick(TimePoint now) {
  for (const auto& [id, connection] : by_id_) connection->muxer->tick(now);
}

Task<> Connections::wait_until_empty() {
  while (!by_id_.empty()) PYRSIA_CO_TRY(co_await emptied_.wait());
  co_return ok;
}

Task<> Connections::stop() {
  is_stopping_ = true;
  for (const auto& [id, connection] : by_id_) close(*connection);
  const auto farewell = co_await with_timeout(shared_.env, kFarewell, wait_until_empty());
  if (!farewell) shared_.log.debug("connections cut", {{"count", by_id_.size()}});
  tasks_.cancel();
  co_return co_await tasks_.join();
}

}  // namespace pyrsia::swarm

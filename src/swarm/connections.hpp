#pragma once

#include "base/ip_group.hpp"
#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/connection.hpp"
#include "swarm/notifier.hpp"
#include "swarm/shared.hpp"

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace pyrsia::swarm {

class Connections;

/// One open connection. Owned by its users (the task that serves it is the first): destroyed when
/// it has ended and nobody waits for something of it any more.
class LiveConnection final : public mux::StreamSink {
 public:
  LiveConnection(Connections& owner, ConnectionInfo connection, std::unique_ptr<mux::Muxer> m)
      : info(std::move(connection)), muxer(std::move(m)), owner_(owner) {}

  void on_stream(std::unique_ptr<Stream> stream) override;

  const ConnectionInfo info;
  const std::unique_ptr<mux::Muxer> muxer;
  std::size_t negotiating_streams = 0;  ///< Incoming.
  bool is_closing = false;              ///< No new streams, please.
  bool is_announced = false;            ///< Observers know of it.

 private:
  friend class ConnectionUse;
  friend class Connections;

  Connections& owner_;
  std::size_t users_ = 0;
};

/// Keeps a connection object alive across a wait; the connection may end all the same.
class ConnectionUse {
 public:
  explicit ConnectionUse(LiveConnection& connection);
  ConnectionUse(ConnectionUse&& other) noexcept;
  ConnectionUse& operator=(ConnectionUse&&) = delete;
  ~ConnectionUse();

  LiveConnection* operator->() const { return connection_; }
  LiveConnection& operator*() const { return *connection_; }

 private:
  LiveConnection* connection_;
};

/// All open connections, by id and by peer; one task serves each. Owned by the swarm.
class Connections {
 public:
  using StreamTaker = std::function<void(LiveConnection&, std::unique_ptr<Stream>)>;

  /// All must outlive it.
  Connections(Shared& shared, Notifier& notifier);

  /// Gets the streams that peers open; to be set before the first connection.
  void set_stream_taker(StreamTaker taker) { take_stream_ = std::move(taker); }

  /// Takes a connection in and serves it. Errors: `Errc::limit_reached` (all, one peer, one IP;
  /// only for inbound), `Errc::closed` (stopping).
  Result<ConnectionInfo> adopt(transport::Connection connection, Direction direction);
  /// Room for one more, of this peer if it is known.
  bool has_room(const std::optional<PeerId>& peer) const;
  bool has_room_for(const IpAddress& ip) const;

  /// Waits until the peer has judged us, too. Errors: why the connection ended instead.
  Task<ConnectionInfo> wait_confirmed(ConnectionUse use);

  /// Null if it is gone.
  LiveConnection* find(ConnectionId id) const;
  /// The oldest to the peer that is not closing; null if there is none.
  LiveConnection* best(const PeerId& peer) const;
  std::vector<ConnectionInfo> all() const;
  std::vector<ConnectionInfo> all_to(const PeerId& peer) const;
  std::size_t size() const { return by_id_.size(); }
  std::size_t peer_count() const { return by_peer_.size(); }

  static void close(LiveConnection& connection) noexcept;
  void close_all_to(const PeerId& peer) noexcept;
  void tick(TimePoint now);
  /// Says goodbye to all, and ends within kFarewell.
  Task<> stop();

 private:
  /// How long peers get to take our GoAway.
  static constexpr Duration kFarewell = std::chrono::milliseconds(200);
  friend class ConnectionUse;
  friend class LiveConnection;
  struct Serving;

  static Task<> serve(Serving serving);
  Task<> announce_once_confirmed(ConnectionUse use);
  void announce(LiveConnection& connection);
  void ended(LiveConnection& connection, Error reason) noexcept;
  Task<> wait_until_empty();

  Shared& shared_;
  Notifier& notifier_;
  StreamTaker take_stream_;
  std::unordered_map<ConnectionId, LiveConnection*> by_id_;
  std::unordered_map<PeerId, std::vector<LiveConnection*>> by_peer_;  // Oldest first.
  IpGroupCounts by_ip_;
  ConnectionId last_id_ = 0;
  bool is_stopping_ = false;
  Event emptied_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::swarm

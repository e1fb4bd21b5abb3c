#pragma once

#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/connections.hpp"
#include "swarm/shared.hpp"
#include "swarm/stream_handler.hpp"

#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace pyrsia::swarm {

/// Agrees on the protocol of each stream, either way, and hands incoming ones to their handlers.
/// Owned by the swarm.
class Streams {
 public:
  /// `shared` must outlive it.
  explicit Streams(Shared& shared);
  ~Streams();

  void start();
  /// Cancels all handlers.
  Task<> stop();

  /// An empty audience is everybody.
  void handle(Audience audience, std::string protocol, ProtocolLimits limits,
              StreamHandler handler);
  /// Those that are served to everybody.
  std::vector<std::string> protocols() const;

  /// Takes a stream that a peer opened. Over a limit it is reset.
  void take(LiveConnection& connection, std::unique_ptr<Stream> stream);
  /// Errors: `Errc::closed`, `Errc::limit_reached`, `Errc::not_supported`, `Errc::timed_out`.
  Task<std::unique_ptr<Stream>> open(ConnectionUse connection, std::string protocol);

 private:
  struct Served {
    Audience audience;
    ProtocolLimits limits;
    StreamHandler handler;
    std::size_t streams = 0;
    std::unordered_map<PeerId, std::size_t> of_peer;
  };
  class Slot;
  class Negotiating;
  struct Arrival;

  Task<> dispatch();
  Task<> serve(Arrival arrival);
  bool is_served_to(const PeerId& peer, std::string_view protocol) const;
  Task<std::string> agree(Stream& stream, PeerId peer);
  Task<std::unique_ptr<Stream>> open_and_agree(LiveConnection& connection, std::string protocol);

  Shared& shared_;
  std::map<std::string, Served, std::less<>> served_;  // Entries stay: handlers refer to them.
  std::deque<Arrival> arrivals_;  // Bounded by max_negotiating_streams of each connection.
  Event arrived_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::swarm

/// The Identify service: learns who the peers are, tells them who we are, and tells them again
/// when that has changed. Spec: libp2p/specs, identify/README.md.
#pragma once

#include "protocols/identify/info.hpp"
#include "protocols/identify/push_limiter.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pyrsia::identify {

struct Config {
  std::string agent = "pyrsia/0.1.0";
  std::string protocol_version = "ipfs/1.0.0";  ///< What the original node says.
  Duration timeout = std::chrono::seconds(5);   ///< One exchange, opening included.
  Duration push_debounce = std::chrono::seconds(1);
  std::size_t push_concurrency = 32;
  Duration address_lifetime = std::chrono::hours(1);  ///< In the peer store.
  std::size_t streams_of_one_peer = 8;                ///< Served at once, each protocol.
  PushLimits push_limits;
};

struct Metrics {
  Counter identified;
  Counter failed;     ///< No answer, or not in time.
  Counter discarded;  ///< An answer or push that was not the peer's, or malformed.
  Counter answered;
  Counter pushes_sent;
  Counter pushes_failed;
  Counter pushes_received;
  Counter pushes_refused;  ///< Over a rate.
};

/// Hears what peers say. Called from tasks of the service; may call the swarm.
class Observer {
 public:
  virtual ~Observer() = default;
  /// The peer store knows it all by now.
  virtual void on_identified(const swarm::ConnectionInfo&, const Info&) {}
  virtual void on_identify_failed(const swarm::ConnectionInfo&, Error) {}
};

/// Owned by the host. `swarm` and `observer` must outlive it; the swarm must be stopped before it
/// is destroyed.
class Identifier final : private swarm::Observer {
 public:
  /// Our addresses, best first, without those known to be of no use. Asked again only after
  /// addresses_changed() or a change of the listeners. Each peer gets those that concern it.
  using Addresses = std::function<std::vector<Multiaddr>()>;

  Identifier(swarm::Swarm& swarm, const Config& config, Addresses addresses,
             identify::Observer& observer, Logger log);
  ~Identifier() override;

  /// Begins to serve, and to identify every new connection. Call it once.
  void start();
  /// Errors: none.
  Task<> stop();

  /// What `Addresses` returns may have changed. Peers hear of it if it has.
  void addresses_changed();

  const Metrics& metrics() const { return metrics_; }

 private:
  /// What we say of ourselves, to whomever.
  struct Self {
    std::vector<Multiaddr> addresses;
    std::vector<std::string> protocols;
    bool operator==(const Self&) const = default;
  };

  void on_connected(const swarm::ConnectionInfo& connection) override;
  void on_listen_addresses_changed() override { addresses_changed(); }
  void on_protocols_changed() override { addresses_changed(); }

  Task<> identify(swarm::ConnectionInfo connection);
  Task<Message> ask(swarm::ConnectionId connection);
  void accept(const swarm::ConnectionInfo& connection, const Message& message, Kind kind);
  void remember(const PeerId& peer, const Info& info);

  Task<> serve(swarm::IncomingStream incoming);
  Task<> serve_push(swarm::IncomingStream incoming);

  Task<> push_changes();
  Task<> push_to_all();
  Task<> push_from_queue();
  Task<> push_on(swarm::ConnectionInfo connection);

  Self self() const;
  Bytes message_for(const swarm::ConnectionInfo& connection);
  Bytes make_message(AddressClass neighbourhood);
  std::uint64_t next_record_sequence();

  swarm::Swarm& swarm_;
  Env& env_;
  Config config_;
  Addresses addresses_;
  identify::Observer& observer_;
  Logger log_;
  Metrics metrics_;
  PushLimiter push_limiter_;
  /// Our message for each neighbourhood, but for the observed address: signing is dear.
  std::map<AddressClass, Bytes> messages_;
  std::uint64_t record_sequence_ = 0;
  std::deque<swarm::ConnectionInfo> push_queue_;
  Event changed_;
  TaskGroup pushes_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::identify

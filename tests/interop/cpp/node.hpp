/// Our node for the interoperability tests: swarm, identify, ping, AutoNAT v1 and v2, told what to
/// do by JSON objects; ../README.md has the protocol.
#pragma once

#include "protocols/autonat/client.hpp"
#include "protocols/autonat/server.hpp"
#include "protocols/autonat_v2/client.hpp"
#include "protocols/autonat_v2/server.hpp"
#include "protocols/identify/identifier.hpp"
#include "protocols/ping/pinger.hpp"
#include "runtime/real_env.hpp"
#include "runtime/task_group.hpp"
#include "transport/tcp/transport.hpp"

#include <boost/json.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::interop {

namespace json = boost::json;

struct Flags {
  std::vector<Multiaddr> listen;
  std::vector<Multiaddr> announce;
  std::string security = "/noise";
  std::string web_tls;  ///< The folder with what secure WebSockets need; empty: none.
  std::uint8_t key_seed = 1;
  bool serves_autonat = false;
  bool allows_loopback = false;
};

/// `env` must outlive it; stop() before it is destroyed.
class Node final : private swarm::Observer,
                   private identify::Observer,
                   private autonat::Observer,
                   private autonat_v2::Observer {
 public:
  Node(Env& env, const Flags& flags);
  ~Node() override;

  /// Errors: those of Swarm::listen().
  Result<> start();
  /// Errors: none.
  Task<> stop();
  /// Begins what `command` says; its reply is printed when it has ended.
  void begin(json::object command);

 private:
  struct Batch;
  struct Probing;

  void on_connected(const swarm::ConnectionInfo& connection) override;
  void on_disconnected(const swarm::ConnectionInfo& connection, Error reason) override;
  void on_identified(const swarm::ConnectionInfo& connection, const identify::Info& info) override;

  void on_address_result(const autonat_v2::AddressResult& result) override;

  Task<> serve(swarm::IncomingStream incoming);

  Task<> run(json::object command);
  Task<json::object> outcome(json::object command);
  Task<json::object> connect(Multiaddr address);
  Task<json::object> latency(Multiaddr address);
  Task<json::object> identify(PeerId peer);
  Task<json::object> push(std::string protocol);
  Task<json::object> ping(PeerId peer, std::int64_t count);
  Task<json::object> echo_one(PeerId peer, std::uint64_t bytes);
  Task<json::object> echo_many(PeerId peer, std::size_t count);
  Task<> open_one(std::shared_ptr<Batch> batch, std::size_t index, PeerId peer);
  Task<> use_one(std::shared_ptr<Batch> batch, std::size_t index);
  Task<json::object> reset(PeerId peer);
  Task<json::object> autonat(PeerId peer);
  Task<json::object> ask(PeerId peer);
  Task<json::object> autonat2(PeerId peer, std::vector<Multiaddr> asked);
  Task<json::object> ask_about(Multiaddr address);

  std::vector<Multiaddr> addresses() const;

  void use_web_tls(transport::tcp::Transport& tcp) const;

  Env& env_;
  Flags flags_;
  KeyPair key_;
  AddressClassifier classifier_;
  LogSink sink_;
  swarm::Swarm swarm_;
  identify::Identifier identifier_;
  ping::Pinger pinger_;
  autonat::Server server_;
  autonat_v2::Dialer dialer_;
  autonat_v2::sibling::Siblings siblings_;  // None.
  autonat_v2::Server server2_;
  std::vector<Multiaddr> asked2_;  // What client2_ is to ask about.
  std::optional<autonat_v2::AddressResult> result2_;
  Event ended2_;
  autonat_v2::Client client2_;
  std::map<PeerId, identify::Info> identified_;
  std::unique_ptr<Probing> probing_;
  TaskGroup tasks_;
};

/// One line on standard output.
void print(const json::object& line);

}  // namespace pyrsia::interop

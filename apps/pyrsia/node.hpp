#pragma once

#include "bootstrap/directory/directory.hpp"
#include "bootstrap/directory/status_service.hpp"
#include "event_feed.hpp"
#include "http/router.hpp"
#include "http/server.hpp"
#include "nat/stun/server.hpp"
#include "options.hpp"
#include "probe_service.hpp"
#include "protocols/nat_facts/server.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "stun_tls.hpp"
#include "terminal.hpp"

#include <pyrsia/host.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace pyrsia::app {

/// The commands `node` and `boot`: a host, its local HTTP API, and what a person is shown of them.
class Node final : public bootstrap::LocalNode {
 public:
  /// `host` is not started yet. All must outlive the node. `key` is the host's: it signs what STUN
  /// servers of a cluster lend each other.
  Node(Env& env, const Options& options, Host& host, const KeyPair& key,
       const AddressClassifier& classifier, Terminal& terminal);

  /// Its whole life: HTTP, listening, joining, until it is asked to stop. Errors: none; see
  /// exit_code().
  Task<> run();
  /// SIGTERM, SIGINT: ends run() within two seconds; a second one ends the program at once.
  void on_signal();
  ExitCode exit_code() const { return exit_code_; }

  PeerId peer_id() const override { return host_.peer_id(); }
  std::vector<Multiaddr> listen_addresses() const override { return host_.listen_addresses(); }
  std::vector<Multiaddr> advertised_addresses() const override;
  std::vector<PeerId> connected_peers() const override;

 private:
  Task<> start();
  Task<> stop();
  void ask_to_stop();
  Task<> end_if_stop_hangs();
  [[noreturn]] void end_at_once(const std::string& why);
  Task<> read_events();
  Task<> spin();
  Task<> end_without_verdict();
  void take(const HostEvent& event);
  void show(const HostEvent& event);
  void say_what_to_set();
  void show_verdict();
  void show_steady_state();
  void end(ExitCode code);
  bool start_http();
  bool start_stun();
  void fail(ExitCode code, const std::string& text);

  void mount();
  /// Peers may ask how our NATs behave.
  void serve_nat_facts();
  Task<http::Response> nat();
  /// What a connected peer says of its NATs.
  Task<http::Response> peer_nat(const http::Request& request);
  Task<http::Response> events();
  Task<http::Response> health();
  std::map<std::string, std::uint64_t> values() const;

  Env& env_;
  const Options& options_;
  Host& host_;
  Terminal& terminal_;
  ExitCode exit_code_ = ExitCode::success;
  bool is_stopping_ = false;
  bool has_heard_signal_ = false;
  bool was_peer_connected_ = false;
  bool has_said_what_to_set_ = false;
  std::string http_url_;
  LogSink log_;
  bootstrap::DirectoryMetrics directory_metrics_;
  bootstrap::Directory directory_;
  bootstrap::StatusService status_service_;
  EventFeed feed_;
  StunTls stun_tls_;
  stun::Server stun_;
  bool is_stun_running_ = false;
  ProbeService probe_;
  nat_facts::Server nat_facts_;
  http::Metrics http_metrics_;
  http::Router router_;
  http::Server server_;
  Event stop_asked_;
  TaskGroup watchdog_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::app

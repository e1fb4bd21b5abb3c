#pragma once

#include "mux/yamux/session.hpp"
#include "runtime/task_group.hpp"
#include "secure/noise/handshake.hpp"

#include <list>
#include <memory>

namespace pyrsia::bench {

/// A connection from TCP to yamux, as the transport makes it, without its policy.
class Connection final : public mux::StreamSink {
 public:
  Connection(Env& env, const secure::noise::Identity& identity, mux::yamux::Metrics& metrics)
      : env_(env), identity_(identity), metrics_(metrics), tasks_(env) {}

  /// Upgrades `raw`. Then streams may be opened, and those of the peer are served: what one sends
  /// is read, and its length sent back at the end.
  Task<> start(std::unique_ptr<Stream> raw, Role role);
  mux::Muxer& muxer() { return *muxer_; }
  /// Ends when the connection has ended.
  Task<> join() { co_return co_await tasks_.join(); }
  void on_stream(std::unique_ptr<Stream> stream) override;

 private:
  Task<> serve(std::unique_ptr<Stream> stream);

  Env& env_;
  const secure::noise::Identity& identity_;
  mux::yamux::Metrics& metrics_;
  std::unique_ptr<mux::Muxer> muxer_;
  TaskGroup tasks_;
};

/// What all connections of a program share.
struct Node {
  explicit Node(Env& environment);

  Env& env;
  KeyPair key;
  secure::noise::Identity identity;
  mux::yamux::Metrics metrics;
};

/// Accepts and serves until cancelled.
Task<> serve(Node& node, Endpoint local);
/// Errors: those of TCP and of the upgrade.
Task<std::unique_ptr<Connection>> dial(Node& node, Endpoint remote);

}  // namespace pyrsia::bench

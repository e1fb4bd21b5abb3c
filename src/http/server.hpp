#pragma once

#include "base/ip_group.hpp"
#include "http/message.hpp"
#include "http/router.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/metrics.hpp>

#include <list>
#include <memory>

namespace pyrsia::http {

struct Config {
  std::size_t max_head_bytes = 8192;   ///< More: 431.
  std::size_t max_body_bytes = 8192;   ///< More: 413.
  std::size_t max_connections = 1024;  ///< More: 503.
  /// Of an IPv4 address or an IPv6 /56. More: 503. Loopback is exempt.
  std::size_t max_connections_per_ip = 64;
  std::size_t max_requests = 1'000'000;  ///< Of one connection, which then ends.
  /// Between requests, and for the client to take a response.
  Duration idle_timeout = std::chrono::seconds(60);
  /// For a request to be complete, from its first byte on.
  Duration request_timeout = std::chrono::seconds(10);
  /// For the client to end a connection that we have ended.
  Duration close_timeout = std::chrono::seconds(2);
  /// How long accepting rests when the kernel refuses it.
  Duration accept_pause = std::chrono::milliseconds(50);
};

struct Metrics {
  Counter connections;
  Counter refused_connections;
  Counter failed_accepts;
  Counter requests;
  Counter bad_requests;  ///< Malformed or over a limit.
  Counter timeouts;
  Counter failed_handlers;
};

/// A small HTTP/1.1 server: keep-alive, pipelining, HEAD, streaming responses.
/// `env`, `metrics` and what `handler` uses must outlive it; stop() before it is destroyed.
class Server {
 public:
  Server(Env& env, const Config& config, Handler handler, Metrics& metrics);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Accepts at `local`; returns where. Several may be open. Errors: as Env::tcp_listen().
  Result<Endpoint> listen(const Endpoint& local);
  /// Serves one connection that came in another way.
  void serve(std::unique_ptr<Stream> stream, const Endpoint& remote);
  std::size_t connection_count() const { return connections_.size(); }
  /// Ends everything. Errors: none.
  Task<> stop();

 private:
  class Connection;
  class Use;

  Task<> accept_all(TcpListener& listener);
  bool has_room_for(const IpAddress& ip) const;
  Task<> run(Connection& connection);
  Task<> answer_all(Connection& connection);
  /// False at the end of the connection. Errors: those of the stream; `Errc::malformed`.
  Task<bool> read_request(Connection& connection);
  /// False if the connection is to end.
  Task<bool> answer(Connection& connection, bool is_last);
  Task<> write(Connection& connection, const Response& response, bool is_last);
  Task<> stream(Connection& connection, const Response& response);
  Task<> watch_leaving(Connection& connection);
  Task<> close(Connection& connection);
  void forget(Connection& connection);

  Env& env_;
  Config config_;
  Handler handler_;
  Metrics& metrics_;
  std::vector<std::unique_ptr<TcpListener>> listeners_;
  std::list<Connection> connections_;
  IpGroupCounts per_ip_;  ///< No more entries than connections.
  TaskGroup tasks_;
};

}  // namespace pyrsia::http

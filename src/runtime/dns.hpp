#pragma once

#include "runtime/env.hpp"
#include "runtime/reactor.hpp"

#include <pyrsia/ip.hpp>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct ares_channeldata;

namespace pyrsia {

/// Name resolution by c-ares. No call may be pending when it is destroyed.
class Dns {
 public:
  /// At most this many records of an answer are used. Our limit.
  static constexpr std::size_t kMaxRecords = 32;

  /// `servers` is "IP[:port],…", or empty for the system's. One server that is silent costs
  /// `timeout` in all.
  Dns(Env& env, Reactor& reactor, std::string servers, Duration timeout);
  ~Dns();
  Dns(const Dns&) = delete;
  Dns& operator=(const Dns&) = delete;

  /// Errors: as Env::resolve().
  Task<std::vector<IpAddress>> addresses(std::string name, IpFamily family);
  /// Errors: as Env::resolve().
  Task<std::vector<std::string>> texts(std::string name);

  struct Query;

 private:
  class SocketWatch;
  class Deadline;

  /// Makes the channel, when it is first needed. Errors: `Errc::unavailable`.
  Result<> open();
  Query& start();
  /// The asker needs `query` no more.
  void leave(Query& query) noexcept;
  void socket_changed(int socket, bool is_read, bool is_write);
  void process(int readable, int writable);
  void arm_deadline();

  Env& env_;
  Reactor& reactor_;
  std::string servers_;
  Duration timeout_;
  ares_channeldata* channel_ = nullptr;
  std::map<int, std::unique_ptr<SocketWatch>> sockets_;
  std::unique_ptr<Deadline> deadline_;
  std::list<Query> queries_;  ///< c-ares knows them by address until it has answered.
};

}  // namespace pyrsia
